// Object sends a value with methods to another context and calls them there, as people do in
// Python by piping a pickled object into "ssh host python agent.py". It does the same job
// twice: with the object as the argument of a call, and with data that comes through a named
// pipe into a stream.
//
//	go run ./examples/object
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sort"
	"strings"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
)

// Tally counts words. Only its exported fields travel: its methods are there already, because
// the same program runs at both ends.
type Tally struct {
	Least int // words that are seen less often are not shown
	Seen  map[string]int
}

// Add counts the words of a text.
func (t *Tally) Add(text string) {
	if t.Seen == nil {
		t.Seen = make(map[string]int)
	}
	for _, w := range strings.Fields(text) {
		t.Seen[strings.ToLower(strings.Trim(w, ".,;:"))]++
	}
}

// String lists the words, most frequent first.
func (t *Tally) String() string {
	var words []string
	for w, n := range t.Seen {
		if n >= t.Least {
			words = append(words, w)
		}
	}
	sort.Slice(words, func(i, j int) bool {
		a, b := words[i], words[j]
		return t.Seen[a] > t.Seen[b] || t.Seen[a] == t.Seen[b] && a < b
	})
	var b strings.Builder
	for _, w := range words {
		fmt.Fprintf(&b, "%s %d\n", w, t.Seen[w])
	}
	return b.String()
}

// job is an object with its data.
type job struct {
	Tally Tally
	Text  string
}

// count calls a method of the value that was sent, and sends the value back.
var count = contexts.NewFunc("object.count", func(_ context.Context, j job) (Tally, error) {
	j.Tally.Add(j.Text)
	fmt.Printf("counted in process %d\n", os.Getpid()) // shown at the master
	return j.Tally, nil
})

// countStream reads text from the stream, to its end, and sends the result on the same stream.
var countStream = contexts.NewConnFunc("object.count.stream",
	func(_ context.Context, conn net.Conn, t Tally) error {
		text, err := io.ReadAll(conn)
		if err != nil {
			return err
		}
		t.Add(string(text))
		_, err = io.WriteString(conn, t.String())
		return err
	})

const text = "Omnis cellula e cellula: every cell from a cell, and from every cell a cell."

func main() {
	contexts.Init()
	if err := run(context.Background()); err != nil {
		log.SetFlags(0)
		log.Print(err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	self, err := contexts.Start(ctx, &contexts.Config{Output: os.Stdout})
	if err != nil {
		return err
	}
	defer self.Close()
	child, err := self.Connect(ctx, local.Child{})
	if err != nil {
		return err
	}

	tally, err := count.Call(ctx, child, job{Tally: Tally{Least: 2}, Text: text})
	if err != nil {
		return err
	}
	fmt.Printf("as an argument:\n%v", &tally)

	result, err := overPipe(ctx, child)
	if err != nil {
		return err
	}
	fmt.Printf("over a named pipe:\n%s", result)
	return self.Close()
}

// overPipe feeds the child from a named pipe, as a shell script would.
func overPipe(ctx context.Context, child *contexts.Node) (string, error) {
	feed, written, err := openFeed()
	if err != nil {
		return "", err
	}
	defer feed.Close()

	conn, err := countStream.Dial(ctx, child, Tally{Least: 2})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := io.Copy(conn, feed); err != nil {
		return "", err
	}
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return "", err
	}
	result, err := io.ReadAll(conn)
	if err != nil {
		return "", err
	}
	return string(result), <-written
}
