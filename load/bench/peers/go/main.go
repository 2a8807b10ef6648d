// Goconntest's program in today's Go: net/http, a goroutine and a ticker for each connection, a flush after every write.
// What is posted goes to a channel of every connection, whatever the path: here they all follow one feed.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// How many messages may wait for a connection; one that is further behind ends.
const backlog = 16

type hub struct {
	mutex     sync.Mutex
	followers map[chan []byte]struct{}
}

func (h *hub) follow() chan []byte {
	messages := make(chan []byte, backlog)
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.followers[messages] = struct{}{}
	return messages
}

func (h *hub) leave(messages chan []byte) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	delete(h.followers, messages)
}

func (h *hub) publish(message []byte) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for messages := range h.followers {
		select {
		case messages <- message:
		default:
			delete(h.followers, messages)
			close(messages)
		}
	}
}

func main() {
	period := time.Second
	if text := os.Getenv("FEED_INTERVAL_MS"); text != "" {
		milliseconds, err := strconv.Atoi(text)
		if err != nil || milliseconds < 0 {
			log.Fatalf("FEED_INTERVAL_MS: %q", text)
		}
		period = time.Duration(milliseconds) * time.Millisecond
	}
	feed := hub{followers: map[chan []byte]struct{}{}}

	http.HandleFunc("/test/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			message, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			feed.publish(append(message, '\n'))
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusCreated)
			io.WriteString(w, "{}")
			return
		}
		messages := feed.follow()
		defer feed.leave(messages)
		flusher := w.(http.Flusher)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if _, err := fmt.Fprintf(w, "Go welcomes you! Your Id: %s\n", r.URL); err != nil {
			return
		}
		flusher.Flush()
		var ticks <-chan time.Time // of a feed without a period nothing ever comes
		if period > 0 {
			ticker := time.NewTicker(period)
			defer ticker.Stop()
			ticks = ticker.C
		}
		for n := 1; ; {
			var err error
			select {
			case <-r.Context().Done():
				return
			case message, isOpen := <-messages:
				if !isOpen {
					return
				}
				_, err = w.Write(message)
			case <-ticks:
				_, err = fmt.Fprintf(w, "Chunk %d for id %s\n", n, r.URL)
				n++
			}
			if err != nil {
				return
			}
			flusher.Flush()
		}
	})

	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
