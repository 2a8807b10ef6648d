// Run in a page: each text that can be seen, with its contrast to what is behind it (WCAG 2.2, relative luminance and contrast ratio).
(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const luminance = (colour) => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const groundOf = (element) => {
    const { backgroundColor } = getComputedStyle(element);
    return backgroundColor === 'rgba(0, 0, 0, 0)' && element.parentElement ? groundOf(element.parentElement) : backgroundColor;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const { textContent, parentElement } = walker.currentNode;
    if (!parentElement.checkVisibility() || textContent.trim() === '') continue;
    const [light, dark] = [getComputedStyle(parentElement).color, groundOf(parentElement)].map(luminance).sort((a, b) => b - a);
    found.push([textContent, (light + 0.05) / (dark + 0.05)]);
  }
  return found;
})();
