// Command broker is a broker of a program that has functions of its own, for clients in other
// languages to call. Its arguments are the path of the socket and the hop paths that it allows, all if
// there are none. It prints a line when clients can connect.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	_ "github.com/mitosis-go/mitosis/connect/all"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/broker"
)

type word struct {
	Text  string   `cbor:"text"`
	Times int      `cbor:"times"`
	Tags  []string `cbor:"tags,omitempty"`
}

func init() {
	contexts.NewFunc("demo.repeat", func(_ context.Context, w word) (word, error) {
		if w.Times < 0 {
			return word{}, fmt.Errorf("%d is no number of times", w.Times)
		}
		return word{Text: strings.Repeat(w.Text, w.Times), Times: 1, Tags: w.Tags}, nil
	})
	contexts.NewFunc("demo.wait", func(ctx context.Context, _ struct{}) (struct{}, error) {
		<-ctx.Done()
		return struct{}{}, ctx.Err()
	})
}

func main() {
	contexts.Init()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := broker.Serve(ctx, &broker.Config{
		Socket: os.Args[1], Allow: os.Args[2:], Tree: &contexts.Config{PackedDir: os.DevNull},
		Ready: func(socket string) { fmt.Println(socket) },
	})
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
