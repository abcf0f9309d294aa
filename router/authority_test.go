package router

import (
	"testing"

	"github.com/mitosis-go/mitosis/core"
)

// The whole table, written down a second time, in another form: one line for
// each class of handles, one letter for each relation.
//
//	S self  A ancestor  D descendant  G granted  P peer  X stranger  W answering
//	F full  L limited  B bound  . refused; lower case: from the peer of the link only
var authorityTable = []struct {
	handles []core.Handle
	verdict string // in the order S A D G P X W
}{
	{[]core.Handle{core.HandleNone, core.HandleHello}, "......."},
	{[]core.Handle{core.HandleCall}, "FFLFL.."},
	{[]core.Handle{core.HandleLog}, "FFL...."},
	{[]core.Handle{core.HandleGone}, ".FLLL.."},
	{[]core.Handle{core.HandleRoute, core.HandleIDs}, "..l...."},
	{[]core.Handle{core.HandlePing, core.HandlePong}, ".ll...."},
	{[]core.Handle{core.HandleShutdown, core.HandleLevel, core.HandleGrant, core.HandleRoot, 14, 500, 999}, "FF....."},
	{[]core.Handle{core.HandleMore, core.FirstDynamic, core.FirstDynamic + 1, 1 << 40, 1<<64 - 1}, "BBBBBBB"},
}

var relations = []Relation{RelationSelf, RelationAncestor, RelationDescendant, RelationGranted, RelationPeer, RelationStranger, RelationAnswering}

func TestAuthorityTable(t *testing.T) {
	seen := make(map[core.Handle]bool)
	for _, row := range authorityTable {
		for _, h := range row.handles {
			seen[h] = true
			for i, rel := range relations {
				for _, adjacent := range []bool{false, true} {
					want := verdictRefuse
					switch c := row.verdict[i]; {
					case c == 'F':
						want = verdictFull
					case c == 'L', c == 'l' && adjacent:
						want = verdictLimited
					case c == 'B':
						want = verdictBound
					}
					flags := core.Flags(0)
					if got := decide(rel, adjacent, h, flags); got != want {
						t.Errorf("relation %d, adjacent %v, handle %d: %d, want %d", rel, adjacent, h, got, want)
					}
				}
			}
		}
	}
	for h := core.HandleNone; h <= core.HandleRoot; h++ {
		if !seen[h] {
			t.Errorf("handle %d is not in the table", h)
		}
	}
}

// TestFlagsOfEachHandle walks all combinations of flags: whatever the relation,
// a flag that a handle does not know is refused, and allowing one never allows
// more than no flag does.
func TestFlagsOfEachHandle(t *testing.T) {
	const split = core.First | core.More
	for h := core.Handle(0); h <= core.FirstDynamic+1; h++ {
		if h == core.HandleRoot+3 {
			h = core.FirstDynamic - 1
		}
		for f := core.Flags(0); f <= core.AllFlags; f++ {
			var fits bool
			switch {
			case h >= core.FirstDynamic:
				fits = f&core.Cancel == 0 && (f&split == 0 || f&split == split)
			case h == core.HandleMore:
				fits = f&(core.First|core.Credit|core.End) == 0
			case h == core.HandleCall:
				fits = f == 0 || f == split || f == core.Cancel
			case servedByRouter(h):
				fits = f == 0
			default:
				fits = f == 0 || f == split
			}
			for _, rel := range relations {
				for _, adjacent := range []bool{false, true} {
					want := verdictRefuse
					if fits {
						want = decide(rel, adjacent, h, 0)
					}
					if got := decide(rel, adjacent, h, f); got != want {
						t.Fatalf("relation %d, handle %d, flags %b: %d, want %d", rel, h, f, got, want)
					}
				}
			}
		}
	}
}

func TestForwardingTable(t *testing.T) {
	for h := core.Handle(0); h <= core.FirstDynamic+1; h++ {
		answer := h == core.HandleMore || h >= core.FirstDynamic
		linkOnly := false
		for _, l := range []core.Handle{core.HandleNone, core.HandleRoute, core.HandleIDs, core.HandlePing, core.HandlePong, core.HandleHello} {
			linkOnly = linkOnly || h == l
		}
		for rel, want := range map[Relation]bool{
			RelationAncestor: !linkOnly, RelationDescendant: !linkOnly,
			RelationGranted: answer || h == core.HandleCall || h == core.HandleGone,
			RelationPeer:    answer || h == core.HandleCall || h == core.HandleGone,
			// An answer, and nothing else.
			RelationAnswering: answer, RelationStranger: false, RelationSelf: false,
		} {
			if got := decideForward(rel, h); got != want {
				t.Errorf("relation %d, handle %d: %v, want %v", rel, h, got, want)
			}
		}
	}
}

func TestWeaker(t *testing.T) {
	order := []Relation{RelationStranger, RelationAnswering, RelationPeer, RelationDescendant, RelationGranted, RelationAncestor, RelationSelf}
	for i, a := range order {
		for j, b := range order {
			if got, want := weaker(a, b), order[min(i, j)]; got != want {
				t.Errorf("the weaker of %v and %v is %v, want %v", a, b, got, want)
			}
		}
	}
}
