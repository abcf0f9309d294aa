package command

// A Tail keeps the last bytes that are written to it.
type Tail struct {
	b       []byte
	omitted int64
}

// maxTail is how much of standard error is kept, in bytes.
const maxTail = 64 << 10

// Write implements io.Writer.
func (t *Tail) Write(b []byte) (int, error) {
	t.b = append(t.b, b...)
	if over := len(t.b) - maxTail; over > maxTail { // it is moved seldom
		t.omitted += int64(over)
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(b), nil
}

// Bytes returns the end.
func (t *Tail) Bytes() []byte {
	if over := len(t.b) - maxTail; over > 0 {
		t.omitted += int64(over)
		t.b = t.b[over:]
	}
	if t.omitted == 0 {
		return t.b
	}
	return append([]byte("... "), t.b...)
}
