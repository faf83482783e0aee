// Quickstart is an orders API behind a Palegate pipeline.
//
//	go run ./examples/quickstart
//
// serves it on 127.0.0.1:8080 and prints what to try. With -demo it tries that
// itself and exits 0 only if every request was decided as its table says.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on")
	demo := flag.Bool("demo", false, "send the requests, print what was decided, and exit")
	flag.Parse()
	if err := run(*addr, *demo); err != nil {
		log.Fatal(err)
	}
}

func run(addr string, demo bool) error {
	p, err := policy()
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: p.Handler(newOrders().routes()), ReadHeaderTimeout: 5 * time.Second}
	if demo {
		addr = "127.0.0.1:0"
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return fmt.Errorf("%w (choose another address with -addr)", err)
	}
	base := "http://" + l.Addr().String()
	if demo {
		go func() { _ = srv.Serve(l) }() // until the demo is over
		defer srv.Close()
		return play(os.Stdout, base)
	}
	fmt.Print("Orders are served on ", base, ". Try:\n\n")
	for _, s := range steps(base) {
		fmt.Printf("# %s\n%s\n\n", s.expect, s.curl)
	}
	return srv.Serve(l)
}
