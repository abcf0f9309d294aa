//go:build linux

package broker_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts/broker"
	"github.com/mitosis-go/mitosis/contexts/broker/internal/wire"
)

// Requests begin and end while others ask for the status, and while some lose their place.
func TestManyClientsAtOnce(t *testing.T) {
	t.Parallel()
	s := serve(t, &broker.Config{MaxClients: 8})
	s.dial().run("true")
	var all sync.WaitGroup
	for range 24 {
		all.Go(func() {
			for range 60 {
				c, err := net.Dial("unix", s.socket)
				if err != nil {
					t.Error(err)
					return
				}
				_ = c.SetDeadline(time.Now().Add(patience))
				one := &conn{t, c.(*net.UnixConn), wire.NewReader(c), wire.NewWriter(c)}
				err = one.out.Write(wire.Frame{Header: header{"mitosis": "client", "version": 1}}, wire.Frame{Header: header{"op": "status"}})
				for err == nil {
					var f *heard
					if f, err = one.read(); err == nil && f.final() {
						if k := f.kind(); k != "" && k != "busy" {
							t.Errorf("%v, want an answer or that there is no place", f)
						}
						break
					}
				}
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("the broker does not answer")
				}
				c.Close()
			}
		})
	}
	all.Wait()
	eventually(t, "all places are free", func() bool {
		st, err := s.dial().readStatus()
		return err == nil && len(st.Clients) == 1
	})
}

// Each of these ends its own connection, and nothing else.
func TestBrokenProtocol(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	other := s.dial()
	other.send(sh("echo ready; read line; echo $line", header{"stdin": true}), nil)
	other.said("stdout", len("ready\n"))
	frame := func(header, body string) string {
		var b []byte
		b = binary.BigEndian.AppendUint32(b, uint32(len(header)))
		b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
		return string(b) + header + body
	}
	greeting := frame(`{"mitosis":"client","version":1}`, "")
	run := frame(`{"op":"exec","path":"local","argv":["sleep","1000"]}`, "")
	input := frame(`{"op":"exec","path":"local","argv":["sleep","1000"],"stdin":true}`, "")
	window := frame(`{"op":"exec","path":"local","argv":["sleep","1000"],"window":5}`, "")
	mega := strings.Repeat("x", 1<<20)
	for name, test := range map[string]struct{ sent, kind string }{
		"no greeting":                {frame(`{"op":"status"}`, ""), "protocol"},
		"a broker's greeting":        {frame(`{"mitosis":"broker","version":1}`, ""), "protocol"},
		"another version":            {frame(`{"mitosis":"client","version":2}`, ""), "version"},
		"no version":                 {frame(`{"mitosis":"client"}`, ""), "version"},
		"a greeting with a body":     {frame(`{"mitosis":"client","version":1}`, "x"), "protocol"},
		"a long greeting":            {frame(`{"mitosis":"client","version":1,"name":"`+mega[:5000]+`"}`, ""), "protocol"},
		"a header of a gibibyte":     {greeting + "\x40\x00\x00\x00\x00\x00\x00\x00", "protocol"},
		"a body of a gibibyte":       {greeting + "\x00\x00\x00\x02\x40\x00\x00\x00{}", "protocol"},
		"a body one byte too long":   {greeting + frame(`{"op":"status"}`, mega+"x"), "protocol"},
		"no JSON":                    {greeting + frame(`{"op":`, ""), "protocol"},
		"no header":                  {greeting + frame(``, ""), "protocol"},
		"an array":                   {greeting + frame(`[]`, ""), "protocol"},
		"null":                       {greeting + frame(`null`, ""), "protocol"},
		"two objects":                {greeting + frame(`{"op":"status"}{}`, ""), "protocol"},
		"an operation of no text":    {greeting + frame(`{"op":7}`, ""), "protocol"},
		"arguments of no text":       {greeting + frame(`{"op":"exec","argv":[1]}`, ""), "protocol"},
		"a header that is no UTF-8":  {greeting + frame("{\"op\":\"stat\",\"path\":\"local\",\"name\":\"/tmp/\xff\"}", ""), "protocol"},
		"half a pair of surrogates":  {greeting + frame(`{"op":"stat","path":"local","name":"/tmp/\udcff"}`, ""), "protocol"},
		"http":                       {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "protocol"},
		"a second request":           {greeting + run + frame(`{"op":"status"}`, ""), "protocol"},
		"joining while another runs": {greeting + run + frame(`{"op":"join"}`, ""), "protocol"},
		"input for none":             {greeting + run + frame(`{"stream":"stdin"}`, "x"), "protocol"},
		"another input":              {greeting + input + frame(`{"stream":"data"}`, "x"), "protocol"},
		"input above the credit":     {greeting + input + frame(`{"stream":"stdin"}`, mega[:262_145]), "protocol"},
		"credit for no window":       {greeting + run + frame(`{"credit":1,"stream":"stdout"}`, ""), "protocol"},
		"credit for no stream":       {greeting + window + frame(`{"credit":1,"stream":"nothing"}`, ""), "protocol"},
		"too many signals":           {greeting + run + strings.Repeat(frame(`{"signal":"NONE","resize":{"rows":1,"cols":1}}`, ""), 5000), "protocol or well"},
	} {
		c := s.connect()
		go func() {
			_, _ = io.Copy(c.net, strings.NewReader(test.sent))
		}()
		kind := ""
		for kind == "" {
			f, err := c.read()
			if err != nil {
				break
			}
			kind = f.kind()
			if test.kind == "protocol or well" && (f.Event == "started" || kind == "protocol") {
				kind = test.kind
			} else if kind == "" && f.final() {
				kind = "well"
			}
		}
		if kind != test.kind {
			t.Errorf("%s: a last frame of kind %q, want %q", name, kind, test.kind)
		}
		if test.kind != "protocol or well" {
			c.wantEnd(name)
		}
		c.net.Close()
	}
	other.send(header{"stream": "stdin", "end": true}, []byte("still here\n"))
	if a := other.finish().want(t, ""); a.streams["stdout"] != "still here\n" {
		t.Errorf("%v, want the output of a client that keeps the rules", a.streams)
	}
	eventually(t, "the commands of those that broke the rules are gone", func() bool { return other.status().Uses == 0 })
}

// Frames that the broker does not know, and those that come too late, are nothing to it.
func TestFramesWithoutMeaning(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	for _, h := range []header{{}, {"stream": "stdin", "end": true}, {"signal": "KILL"}, {"resize": header{"rows": 5, "cols": 5}}, {"cancel": true}, {"answer": 3}, {"credit": 5, "stream": "stdout"}, {"new": "thing"}} {
		c.send(h, []byte("body"))
	}
	c.send(sh("echo well; sleep 0", header{"new": header{"member": 1}}), nil)
	c.send(header{"new": "thing"}, []byte("body"))
	c.send(header{"answer": 77, "refused": true}, nil)
	c.send(header{"stream": "", "credit": -5}, nil)
	if a := c.finish().want(t, ""); a.streams["stdout"] != "well\n" {
		t.Errorf("%v %v, want well", a.heard, a.streams)
	}
	if a := c.ask(header{"op": "fly"}, []byte("high")...); a.kind() != "usage" {
		t.Errorf("%v, want that there is no such request", a.heard)
	}
	if c.run("echo again") != "again\n" {
		t.Error("the connection does not go on")
	}
}

// Nothing of a request follows its last frame, such as credit for input that is still being read.
func TestNothingFollowsTheLastFrame(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			c := s.dial()
			for range 100 {
				err := c.out.Write(frameOf(header{"op": "exec", "path": "local", "argv": []string{"head", "-c", "70000"}, "stdin": true}, ""),
					frameOf(header{"stream": "stdin"}, strings.Repeat("x", 250_000)))
				if err == nil {
					_, err = c.readAnswer()
				}
				if err == nil {
					err = c.out.Write(wireStatus)
				}
				if err != nil {
					t.Error(err)
					return
				}
				if f, err := c.read(); err != nil || !f.final() {
					t.Errorf("%v, %v; want the answer to the next request", f, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// A greeting and requests may come in one piece, or byte by byte.
func TestPieces(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	var all bytes.Buffer
	w := wire.NewWriter(&all)
	_ = w.Write(wire.Frame{Header: header{"mitosis": "client", "version": 1, "new": "member"}}, wire.Frame{Header: header{"op": "exec", "path": "local"}, Body: []byte("echo\x00well")})
	for _, piece := range []int{1, 7, all.Len()} {
		c := s.connect()
		for b := all.Bytes(); len(b) > 0; {
			n := min(piece, len(b))
			if _, err := c.net.Write(b[:n]); err != nil {
				t.Fatal(err)
			}
			b = b[n:]
		}
		c.next()
		if a := c.finish().want(t, ""); a.streams["stdout"] != "well\n" {
			t.Errorf("in pieces of %d: %v", piece, a.heard)
		}
	}
}

// The client's direction may end alone: that ends the request, and the last frame says so.
func TestShutdownCancels(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	c.send(sh("sleep 1000"), nil)
	pid := c.started()
	if err := c.net.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	gone(t, pid, time.Second, "its client has ended its direction")
	_, _ = c.readAnswer() // it may be there
	c.wantEnd("the client's direction has ended")
}

// Half a frame within a request ends the request with the connection.
func TestHalfAFrame(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for _, half := range []string{"\x00", "\x00\x00\x00\x05\x00\x00\x00\x00{", "\x00\x00\x00\x02\x00\x00\x00\x05{}abc"} {
		c := s.dial()
		c.send(sh("sleep 1000"), nil)
		pid := c.started()
		_, _ = io.WriteString(c.net, half)
		c.net.Close()
		gone(t, pid, time.Second, fmt.Sprintf("its client has died behind %q", half))
	}
}

// A broker that ends waits for no client, in whatever state that is.
func TestEndWaitsForNoClient(t *testing.T) {
	t.Parallel()
	for range 20 {
		s := serve(t, nil)
		for range 10 {
			s.connect() // says nothing
		}
		s.dial()
		half := s.dial()
		_, _ = io.WriteString(half.net, "\x00\x00")
		busy := s.dial()
		busy.send(sh("cat /dev/zero"), nil) // does not read
		busy.started()
		go func() { // some come at that moment
			for range 50 {
				c, err := net.Dial("unix", s.socket)
				if err != nil {
					return
				}
				defer c.Close()
				_ = wire.NewWriter(c).Write(wire.Frame{Header: header{"mitosis": "client", "version": 1}})
			}
		}()
		begin := time.Now()
		s.cancel()
		if err := s.wait("its ctx has ended"); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want the cause of its ctx", err)
		}
		if took := time.Since(begin); took > greetingTime/2 {
			t.Fatalf("the end took %v", took)
		}
	}
}

// greetingTime is how long a client may take for its greeting.
const greetingTime = 10 * time.Second
