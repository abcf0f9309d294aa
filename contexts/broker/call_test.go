//go:build linux

package broker_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/mitosis-go/mitosis/contexts"
)

type question struct {
	Text  string
	Times int
	Ratio float64
	Big   uint64
	Flags []bool
}

type reply struct {
	Text  string
	Bytes []byte
	Ratio float64
	Big   uint64
	More  map[string]int
}

// Functions that clients call.
var (
	_ = contexts.NewFunc("brokertest.ask", func(_ context.Context, q question) (reply, error) {
		if q.Text == "fail" {
			return reply{}, errors.New("as you like: " + strings.Repeat("x", q.Times))
		}
		return reply{strings.Repeat(q.Text, q.Times), []byte(q.Text), q.Ratio, q.Big, map[string]int{"flags": len(q.Flags)}}, nil
	})
	_ = contexts.NewFunc("brokertest.block", func(ctx context.Context, _ struct{}) (struct{}, error) {
		<-ctx.Done()
		return struct{}{}, context.Cause(ctx)
	})
	_ = contexts.NewFunc("brokertest.nan", func(context.Context, struct{}) (float64, error) { return math.NaN(), nil })
	_ = contexts.NewFunc("brokertest.panic", func(context.Context, struct{}) (int, error) { panic("on purpose") })
)

func TestCall(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.dial()
	call := func(function, encoding, arg string, more ...header) *answer {
		return c.ask(merged(append(more, header{"op": "call", "path": "local", "function": function, "encoding": encoding})...), []byte(arg)...)
	}
	a := call("brokertest.ask", "json", `{"Text":"ä","Times":2,"Ratio":0.5,"Big":18446744073709551615,"Flags":[true,false]}`).want(t, "")
	if got := string(a.body); got != `{"Big":18446744073709551615,"Bytes":"w6Q=","More":{"flags":2},"Ratio":0.5,"Text":"ää"}` || a.Encoding != "json" {
		t.Errorf("%s, want the reply", got)
	}
	arg, _ := cbor.Marshal(question{Text: "a", Times: 3, Big: 1 << 63})
	a = call("brokertest.ask", "cbor", string(arg)).want(t, "")
	var r reply
	if err := cbor.Unmarshal(a.body, &r); err != nil || r.Text != "aaa" || r.Big != 1<<63 || a.Encoding != "cbor" {
		t.Errorf("%+v, %v; want the reply", r, err)
	}
	call("brokertest.ask", "", string(arg)).want(t, "")
	for name, test := range map[string]struct{ function, encoding, arg, kind string }{
		"an error":             {"brokertest.ask", "json", `{"Text":"fail"}`, "remote"},
		"an error of many MB":  {"brokertest.ask", "json", `{"Text":"fail","Times":3000000}`, "remote"},
		"a result too large":   {"brokertest.ask", "json", `{"Text":"a","Times":1100000}`, "usage"},
		"no such function":     {"brokertest.nothing", "json", `{}`, "not_found"},
		"no function":          {"", "json", `{}`, "usage"},
		"one of ours":          {"mitosis.broker.open", "json", `{}`, "usage"},
		"an unknown encoding":  {"brokertest.ask", "yaml", `{}`, "usage"},
		"no JSON":              {"brokertest.ask", "json", `{`, "usage"},
		"nothing":              {"brokertest.ask", "json", ``, "usage"},
		"two values":           {"brokertest.ask", "json", `{} {}`, "usage"},
		"a number too large":   {"brokertest.ask", "json", `{"Ratio":1e999}`, "usage"},
		"another type":         {"brokertest.ask", "json", `{"Text":7}`, "usage|remote|error"},
		"no CBOR":              {"brokertest.ask", "cbor", "\xff", "usage|remote|error"},
		"no CBOR at all":       {"brokertest.ask", "cbor", "", "usage|remote|error"},
		"two values of CBOR":   {"brokertest.ask", "cbor", "\xa0\xa0", "usage|remote|error"},
		"a result that isn't":  {"brokertest.nan", "json", `{}`, "error|usage"},
		"a panic":              {"brokertest.panic", "json", `{}`, "remote|error"},
		"a nest of many lists": {"brokertest.ask", "json", strings.Repeat("[", 9000) + strings.Repeat("]", 9000), "usage|remote|error"},
	} {
		t.Log(name)
		call(test.function, test.encoding, test.arg).want(t, test.kind)
	}
	call("brokertest.block", "json", `{}`, header{"timeout": 0.05}).want(t, "timeout")
	c.send(header{"op": "call", "path": "local", "function": "brokertest.block", "encoding": "json"}, []byte(`{}`))
	c.send(header{"cancel": true}, nil)
	c.finish().want(t, "cancelled")
	if c.run("echo well") != "well\n" {
		t.Error("the connection does not go on")
	}
}
