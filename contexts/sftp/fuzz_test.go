package sftp

import "testing"

// Any packet is read without a panic, and no field is longer than the packet.
func FuzzRequest(f *testing.F) {
	for kind := range operations {
		f.Add(kind, []byte("\x00\x00\x00\x01\x00\x00\x00\x01x\x00\x00\x00\x00\x00\x00\x00\x00"))
	}
	for i := range extensions {
		f.Add(byte(requestExtended), append(appendString([]byte("\x00\x00\x00\x01"), extensions[i].name), "\x00\x00\x00\x08handle12\x80\x00\x00\x0f\xff\xff\xff\xff"...))
	}
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		_, q, err := parse(kind, &packet{rest: b})
		if total := len(q.path) + len(q.newPath) + len(q.data) + len(q.uids) + len(q.gids); total > len(b) {
			t.Errorf("%d bytes were read, want at most the %d of the packet", total, len(b))
		}
		if err != nil && err != statusBadMessage && err != statusUnsupported {
			t.Error(err)
		}
	})
}
