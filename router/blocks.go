package router

import "github.com/mitosis-go/mitosis/core"

const (
	// birthBlock is the number of IDs that a child is born with at most: so
	// much that it need not ask for more before it has children of its own.
	childBlock = 1024
	// birthShare: a context gives a child no more than this part of what it
	// has left, so that many children all get some.
	childShare = 16
	// refillBlock is the number of IDs asked for at a time.
	refillBlock = 256
	// lowWater is the number of IDs left below which more are asked for
	// before they are needed.
	lowWater = 16
)

// idSpace is the IDs that a context may still give out.
type idSpace struct {
	free []core.Block
	left uint64
	all  blocks // what there ever was of them
}

func (s *idSpace) add(b core.Block) {
	if b.N == 0 || b.First+core.ID(b.N) < b.First {
		return
	}
	s.all = append(s.all, b)
	s.free = append(s.free, b)
	s.left += b.N
}

// take returns a block of at most n IDs, with none where nothing is left.
func (s *idSpace) take(n uint64) core.Block {
	if len(s.free) == 0 || n == 0 {
		return core.Block{}
	}
	b := &s.free[0]
	got := core.Block{First: b.First, N: min(n, b.N)}
	b.First += core.ID(got.N)
	b.N -= got.N
	s.left -= got.N
	if b.N == 0 {
		s.free = s.free[1:]
	}
	return got
}

// birth returns the ID of a child and the block for its own children, which
// may be empty. It reports false where there is no ID left.
func (s *idSpace) child() (core.ID, core.Block, bool) {
	one := s.take(1)
	if one.N == 0 {
		return 0, core.Block{}, false
	}
	return one.First, s.take(min(childBlock, s.left/childShare)), true
}

// refill returns what a child gets that asks for n.
func (s *idSpace) refill(n uint64) core.Block {
	return s.take(min(n, refillBlock, (s.left+1)/2))
}

// blocks is the IDs that a context was given.
type blocks []core.Block

func (b blocks) contain(id core.ID) bool {
	for _, r := range b {
		if id >= r.First && uint64(id-r.First) < r.N {
			return true
		}
	}
	return false
}
