//go:build linux || darwin || freebsd

package broker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/broker/internal/wire"
)

// call calls a function of the program.
func (q *request) call() (wire.Frame, error) {
	if q.f.Function == "" || strings.HasPrefix(q.f.Function, "mitosis.") {
		return wire.Frame{}, usage("function %q is none that a client can call", q.f.Function)
	}
	arg := q.body
	switch q.f.Encoding {
	case "", "cbor":
	case "json":
		var err error
		if arg, err = toCBOR(arg); err != nil {
			return wire.Frame{}, usage("the argument: %v", err)
		}
	default:
		return wire.Frame{}, usage("encoding %q is neither cbor nor json", q.f.Encoding)
	}
	l, err := q.open()
	if err != nil {
		return wire.Frame{}, err
	}
	defer l.Release()
	c, err := contexts.EncodedCallOf(q.f.Function, arg)
	if err != nil {
		return wire.Frame{}, err
	}
	result, err := c.Call(q.ctx, l.Node())
	if err != nil && q.ctx.Err() == nil && !errors.Is(err, contexts.ErrGone) && !errors.Is(err, contexts.ErrUnknownFunc) {
		err = &failure{"remote", err}
	}
	if err != nil {
		return wire.Frame{}, err
	}
	f := okFrame()
	f.Encoding = "cbor"
	if q.f.Encoding == "json" {
		f.Encoding = "json"
		if result, err = toJSON(result); err != nil {
			return wire.Frame{}, fmt.Errorf("the result: %w", err)
		}
	}
	if len(result) > wire.MaxBody {
		return wire.Frame{}, usage("the result has %d bytes; %d are allowed", len(result), wire.MaxBody)
	}
	return wire.Frame{Header: f, Body: result}, nil
}

// jsonTypes decodes CBOR into what JSON can say.
var jsonTypes, _ = cbor.DecOptions{DefaultMapType: reflect.TypeFor[map[string]any](), TimeTagToAny: cbor.TimeTagToRFC3339Nano}.DecMode()

// toCBOR converts a JSON value. Numbers without a fraction are integers.
func toCBOR(text []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("there is more than one JSON value")
	}
	v, err := integers(v)
	if err != nil {
		return nil, err
	}
	return cbor.Marshal(v)
}

// integers replaces the numbers of a JSON value by int64, uint64 and float64.
func integers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i, nil
		}
		if u, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return u, nil
		}
		return v.Float64()
	case []any:
		for i := range v {
			if v[i], err = integers(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = integers(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// toJSON converts a CBOR value. Bytes become base64.
func toJSON(b []byte) ([]byte, error) {
	var v any
	if err := jsonTypes.Unmarshal(b, &v); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}
