// Goconntest's program in today's Go: net/http, a goroutine and a ticker for each connection, a flush after every write.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

func main() {
	period := time.Second
	if text := os.Getenv("FEED_INTERVAL_MS"); text != "" {
		milliseconds, err := strconv.Atoi(text)
		if err != nil || milliseconds <= 0 {
			log.Fatalf("FEED_INTERVAL_MS: %q", text)
		}
		period = time.Duration(milliseconds) * time.Millisecond
	}

	http.HandleFunc("/test/", func(w http.ResponseWriter, r *http.Request) {
		flusher := w.(http.Flusher)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if _, err := fmt.Fprintf(w, "Go welcomes you! Your Id: %s\n", r.URL); err != nil {
			return
		}
		flusher.Flush()
		ticker := time.NewTicker(period)
		defer ticker.Stop()
		for n := 1; ; n++ {
			select {
			case <-r.Context().Done():
				return
			case <-ticker.C:
			}
			if _, err := fmt.Fprintf(w, "Chunk %d for id %s\n", n, r.URL); err != nil {
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
