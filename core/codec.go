package core

import (
	"encoding/binary"
	"errors"
)

// MaxHeader is the length of the longest frame header, in bytes: the array
// head, six integers of nine bytes, and the head of a body of up to MaxBody.
const MaxHeader = 1 + 6*9 + 5

// frameHead opens every frame: a definite-length CBOR array of seven items.
const frameHead = 0x87

// CBOR major types, in the place that they have in an item's first byte.
const (
	majorUint  = 0 << 5
	majorBytes = 2 << 5
)

// ErrShort is returned by ParseHeader and ParseUint where their argument is the beginning of
// a valid header or integer. It never travels.
var ErrShort = errors.New("more bytes are needed")

// The errors of ParseHeader and ParseUint are variables, so that a peer cannot have the reader
// allocate.
var (
	errHead     = &Error{Op: "read frame", Kind: KindProtocol, Err: errors.New("not an array of seven items")}
	errUint     = &Error{Op: "read frame", Kind: KindProtocol, Err: errors.New("not an unsigned integer in shortest form")}
	errBody     = &Error{Op: "read frame", Kind: KindProtocol, Err: errors.New("body is not a definite-length byte string")}
	errBodySize = &Error{Op: "read frame", Kind: KindProtocol, Err: errors.New("body is larger than a frame may be")}
	errFlags    = &Error{Op: "read frame", Kind: KindProtocol, Err: errors.New("unknown flag")}
)

// AppendUint appends v as a CBOR unsigned integer in shortest form.
func AppendUint(b []byte, v uint64) []byte { return appendHead(b, majorUint, v) }

func appendHead(b []byte, major byte, v uint64) []byte {
	switch {
	case v < 24:
		return append(b, major|byte(v))
	case v < 1<<8:
		return append(b, major|24, byte(v))
	case v < 1<<16:
		return append(b, major|25, byte(v>>8), byte(v))
	case v < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), v)
}

// ParseUint reads a CBOR unsigned integer from the front of b, and returns it with its
// length n. The error is ErrShort if b ends too early, and matches ErrProtocol if b does not
// begin with an unsigned integer in shortest form.
func ParseUint(b []byte) (v uint64, n int, err error) {
	if len(b) == 0 {
		return 0, 0, ErrShort
	}
	if b[0] < 24 { // by far the most frequent case, and small enough to be inlined
		return uint64(b[0]), 1, nil
	}
	return parseHead(b, majorUint)
}

func parseHead(b []byte, major byte) (v uint64, n int, err error) {
	if len(b) == 0 {
		return 0, 0, ErrShort
	}
	info := b[0] ^ major
	if info < 24 {
		return uint64(info), 1, nil
	}
	if info > 27 {
		return 0, 0, errUint
	}
	width := 1 << (info - 24)
	if len(b) < 1+width {
		return 0, 0, ErrShort
	}
	for _, c := range b[1 : 1+width] {
		v = v<<8 | uint64(c)
	}
	// The smallest value that does not fit the next narrower form.
	least := uint64(24)
	if width > 1 {
		least = 1 << (4 * width)
	}
	if v < least {
		return 0, 0, errUint
	}
	return v, 1 + width, nil
}

// AppendHeader appends a frame up to the first byte of its body.
func AppendHeader(b []byte, h *Header, bodyLen int) []byte {
	b = append(b, frameHead)
	b = AppendUint(b, uint64(h.Dst))
	b = AppendUint(b, uint64(h.Src))
	b = AppendUint(b, uint64(h.Auth))
	b = AppendUint(b, uint64(h.Handle))
	b = AppendUint(b, uint64(h.Reply))
	b = AppendUint(b, uint64(h.Flags))
	return appendHead(b, majorBytes, uint64(bodyLen))
}

// ParseHeader reads a frame's header from the front of b. n is the length of the header: the
// body is b[n:n+bodyLen], as far as b has it. It allocates nothing. The error is ErrShort if b
// ends within the header, and matches ErrProtocol if b is not the beginning of a frame.
func ParseHeader(b []byte) (h Header, bodyLen, n int, err error) {
	if len(b) == 0 {
		return h, 0, 0, ErrShort
	}
	if b[0] != frameHead {
		return h, 0, 0, errHead
	}
	n = 1
	var fields [6]uint64
	for i := range fields {
		v, w, err := ParseUint(b[n:])
		if err != nil {
			return Header{}, 0, 0, err
		}
		fields[i] = v
		n += w
	}
	size, w, err := parseHead(b[n:], majorBytes)
	switch {
	case err == ErrShort:
		return Header{}, 0, 0, ErrShort
	case err != nil:
		return Header{}, 0, 0, errBody
	case size > MaxBody:
		return Header{}, 0, 0, errBodySize
	case fields[5]&^uint64(AllFlags) != 0:
		return Header{}, 0, 0, errFlags
	}
	h = Header{
		Dst: ID(fields[0]), Src: ID(fields[1]), Auth: ID(fields[2]),
		Handle: Handle(fields[3]), Reply: Handle(fields[4]), Flags: Flags(fields[5]),
	}
	return h, int(size), n + w, nil
}
