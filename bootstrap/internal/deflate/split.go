package deflate

// Blocks are at least and, but for the last, at most so long.
const (
	minBlock   = 8 << 10  // bytes
	maxBlock   = 96 << 10 // bytes
	checkEvery = 512      // symbols
)

// kinds of symbols: literals by their upper and lowest bit, matches by whether
// they are long.
const kinds = 10

// A splitter tells when the data has become different from that of the block
// so far, by how often each kind of symbol occurs.
type splitter struct {
	seen, recent   [kinds]int
	nSeen, nRecent int
}

func (s *splitter) literal(b byte) { s.add(int(b>>5&6 | b&1)) }

func (s *splitter) match(length int) {
	kind := kinds - 2
	if length >= 9 {
		kind++
	}
	s.add(kind)
}

func (s *splitter) add(kind int) {
	s.recent[kind]++
	s.nRecent++
}

// due tells whether a block of so many bytes should end here.
func (s *splitter) due(bytes, left int) bool {
	if bytes >= maxBlock {
		*s = splitter{}
		return true
	}
	if s.nRecent < checkEvery || bytes < minBlock || left < minBlock {
		return false
	}
	if s.nSeen > 0 {
		total := 0
		for i := range s.seen {
			d := s.seen[i]*s.nRecent - s.recent[i]*s.nSeen
			total += max(d, -d)
		}
		// The longer the block, the less it takes: its own header has been
		// paid for already.
		if all := s.nSeen * s.nRecent; total+bytes/4096*s.nSeen >= all*200/512 {
			*s = splitter{}
			return true
		}
	}
	for i, n := range s.recent {
		s.seen[i] += n
	}
	s.nSeen += s.nRecent
	s.recent, s.nRecent = [kinds]int{}, 0
	return false
}
