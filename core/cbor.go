package core

import (
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// The modes are built on first use, because many contexts do little, and one that only
// forwards decodes nothing.
var (
	encMode = sync.OnceValue(func() cbor.EncMode { return encModeSorted(cbor.SortNone) })
	decMode = sync.OnceValue(func() cbor.DecMode {
		m, err := cbor.DecOptions{
			DupMapKey:   cbor.DupMapKeyEnforcedAPF,
			IndefLength: cbor.IndefLengthForbidden,
			TagsMd:      cbor.TagsForbidden,
			UTF8:        cbor.UTF8DecodeInvalid, // names of files are any bytes
			// An element takes at least a byte, so that the size of the
			// message is the real bound of both.
			MaxArrayElements: MaxMessage,
			MaxMapPairs:      MaxMessage,
			MaxNestedLevels:  maxNesting,
		}.DecMode()
		if err != nil {
			panic(err)
		}
		return m
	})
)

func encModeSorted(maps cbor.SortMode) cbor.EncMode {
	m, err := cbor.EncOptions{
		Sort:          maps,
		Time:          cbor.TimeRFC3339Nano, // keeps the zone, and all digits
		TagsMd:        cbor.TagsForbidden,
		NilContainers: cbor.NilContainerAsNull,
		IndefLength:   cbor.IndefLengthForbidden,
	}.EncMode()
	if err != nil {
		panic(err) // the options are constants
	}
	return m
}

// maxNesting bounds the depth of decoded values, and so the stack that a peer can have us
// use.
const maxNesting = 128

// Marshal encodes v as CBOR: definite lengths, integers in shortest form, no
// tags, times as RFC 3339 text with nanoseconds.
func Marshal(v any) ([]byte, error) { return encMode().Marshal(v) }

// MarshalKey encodes v as Marshal does, with maps in the order of their keys, so that the
// encodings of equal values are equal.
func MarshalKey(v any) ([]byte, error) {
	keyMode.once.Do(func() { keyMode.mode = encModeSorted(cbor.SortBytewiseLexical) })
	return keyMode.mode.Marshal(v)
}

// keyMode is no sync.OnceValue, so that programs without a use for it do not carry it.
var keyMode struct {
	once sync.Once
	mode cbor.EncMode
}

// Unmarshal decodes one CBOR item, all of b, into v, which must be a pointer.
// It refuses indefinite lengths, duplicate map keys, tags, and items nested
// more than 128 deep.
func Unmarshal(b []byte, v any) error { return decMode().Unmarshal(b, v) }
