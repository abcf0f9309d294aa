package router

import "github.com/mitosis-go/mitosis/core"

const (
	// childBlock bounds the number of IDs that a new child gets for its own children. It
	// is large enough that the child need not ask for more at its first.
	childBlock = 1024
	// childShare is the largest part of a context's remaining IDs that one child gets,
	// so that many children all get some.
	childShare = 16
	// refillBlock is the number of IDs asked for at a time.
	refillBlock = 256
	// lowWater is the number of remaining IDs below which a context asks for more, before
	// it needs them.
	lowWater = 16
)

// idSpace has the IDs that a context may still give out.
type idSpace struct {
	free []core.Block
	left uint64
	all  blocks // all blocks that were ever added
}

func (s *idSpace) add(b core.Block) {
	if b.N == 0 || b.First+core.ID(b.N) < b.First {
		return
	}
	s.all = append(s.all, b)
	s.free = append(s.free, b)
	s.left += b.N
}

// take returns a block of at most n IDs; it is empty if none are left.
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

// child returns an ID for a new child and a block for its own children, which may be empty.
// It reports false if no ID is left.
func (s *idSpace) child() (core.ID, core.Block, bool) {
	one := s.take(1)
	if one.N == 0 {
		return 0, core.Block{}, false
	}
	return one.First, s.take(min(childBlock, s.left/childShare)), true
}

// refill returns the block for a child that asks for n IDs.
func (s *idSpace) refill(n uint64) core.Block {
	return s.take(min(n, refillBlock, (s.left+1)/2))
}

// blocks are the IDs that a context was given.
type blocks []core.Block

func (b blocks) contain(id core.ID) bool {
	for _, r := range b {
		if id >= r.First && uint64(id-r.First) < r.N {
			return true
		}
	}
	return false
}
