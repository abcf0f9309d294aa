//go:build linux

package broker

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

func TestJSONAndCBOR(t *testing.T) {
	for _, text := range []string{
		`null`, `true`, `0`, `-1`, `9223372036854775807`, `-9223372036854775808`, `18446744073709551615`, `0.5`, `"ä\n"`, `""`, `[]`, `{}`,
		`[1,[2,[3]],{"a":{"b":null}}]`, `{"":1}`,
	} {
		b, err := toCBOR([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if back, err := toJSON(b); err != nil || string(back) != text {
			t.Errorf("%s came back as %s, %v", text, back, err)
		}
	}
	for _, text := range []string{``, ` `, `1 2`, `{} x`, `{`, `nul`, `1e999`, `-1e999`, `01`, "\"\xff\"x"} {
		if b, err := toCBOR([]byte(text)); err == nil {
			t.Errorf("%q is %x in CBOR, want an error", text, b)
		}
	}
	for name, value := range map[string]any{"keys that are no text": map[int]int{1: 2}, "not a number": float64(0) / func() float64 { return 0 }()} {
		b, err := cbor.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := toJSON(b); err == nil {
			t.Errorf("%s is %s in JSON, want an error", name, text)
		}
	}
	if text, err := toJSON([]byte{0x43, 1, 2, 3}); err != nil || string(text) != `"AQID"` {
		t.Errorf("bytes are %s, %v; want base64", text, err)
	}
}

// FuzzToCBOR has JSON of any form come back as it went.
func FuzzToCBOR(f *testing.F) {
	f.Add([]byte(`{"a":[1,2.5,"x",null,true,-7,18446744073709551615]}`))
	f.Add([]byte(`[[[[[]]]]]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := toCBOR(text)
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%q is no JSON, and was taken", text)
		}
		back, err := toJSON(b)
		if err != nil {
			return // a nest that is too deep
		}
		var want, got any
		if json.Unmarshal(text, &want) != nil || json.Unmarshal(back, &got) != nil || !reflect.DeepEqual(want, got) {
			t.Fatalf("%q came back as %q", text, back)
		}
	})
}

// FuzzToJSON makes JSON of any CBOR, or an error.
func FuzzToJSON(f *testing.F) {
	for _, v := range []any{map[string]any{"a": []byte{1}}, []any{1, -1, 0.5, nil, true}, cbor.Tag{Number: 1, Content: 5}, "x"} {
		b, _ := cbor.Marshal(v)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		text, err := toJSON(b)
		if err == nil && !json.Valid(text) {
			t.Fatalf("%x is %q, which is no JSON", b, bytes.TrimSpace(text))
		}
	})
}
