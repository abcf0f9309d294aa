package match

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// What is found is there, is longer each time, and lies within the limits,
// wherever the search begins and whatever is left out.
func TestMatchesAreThere(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 60_000)
	for i := range data {
		if data[i] = byte(r.UintN(4)); r.UintN(100) == 0 {
			data[i] = byte(r.UintN(256))
		}
	}
	copy(data[40_000:], data[1_000:3_000])
	limits := Limits{Window: 1 << 12, Far: 1 << 8, Longest: 300, Nice: 60}
	for n := range 8 {
		from := []int{0, 1, 30_000, len(data)}[n/2]
		var f interface {
			Append(matches []Match, i, atLeast int) []Match
			Skip(i int)
		} = New(data, from, limits)
		if n%2 == 1 {
			f = NewTree(data, from, 20, limits)
		}
		found := 0
		for i := from; i < len(data); i++ {
			atLeast := r.IntN(8)
			longest := max(atLeast, 2)
			for _, m := range f.Append(nil, i, atLeast) {
				n, distance := int(m.Length), int(m.Distance)
				if n <= longest || n > limits.Longest || distance < 1 || distance > min(i, limits.Window) || n == 3 && distance > limits.Far ||
					!bytes.Equal(data[i:i+n], data[i-distance:][:n]) {
					t.Fatalf("at %d, longer than %d: %d bytes from %d before", i, longest, n, distance)
				}
				longest = n
				found++
			}
			if r.UintN(50) == 0 {
				i += r.IntN(200)
				f.Skip(i)
			}
		}
		if from < len(data) && found < (len(data)-from)/4 {
			t.Errorf("only %d matches from %d on", found, from)
		}
	}
}

// The longest of seven bytes and more is found, however many shorter ones are nearer.
func TestLongMatchIsFoundBehindShortOnes(t *testing.T) {
	long := []byte("once upon a time")
	data := bytes.Clone(long)
	for i := range 100 {
		data = append(data, "once"...)
		data = append(data, byte(i), byte(i*7))
	}
	at := len(data)
	data = append(append(data, long...), make([]byte, ahead)...)
	matches := New(data, at, Limits{Window: 1 << 12, Far: 1 << 8, Longest: 300, Nice: 60}).Append(nil, at, 0)
	if len(matches) == 0 || matches[len(matches)-1] != (Match{int32(len(long)), int32(at)}) {
		t.Error(matches)
	}
}

// A tree that is searched to its leaves leaves out none that is longer than those nearer.
func TestTreeFindsAll(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	data := make([]byte, 3000)
	for i := range data {
		data[i] = byte(r.UintN(3))
	}
	copy(data[2000:], data[500:600])
	limits := Limits{Window: 1 << 10, Far: 1 << 10, Longest: 50, Nice: 50}
	tree := NewTree(data, 0, len(data), limits)
	for i := range len(data) - ahead + 1 {
		var want []Match
		here := data[i:min(i+limits.Longest, len(data))]
		for distance, best := 1, 3; distance < limits.Window && distance <= i && best < len(here); distance++ {
			if n := Common(here, data[i-distance:]); n > best {
				want = append(want, Match{int32(n), int32(distance)})
				best = n
			}
		}
		got := tree.Append(nil, i, 0)
		got = slices.DeleteFunc(got, func(m Match) bool { return m.Length == 3 })
		if !slices.Equal(got, want) {
			t.Fatalf("at %d: %v, want %v", i, got, want)
		}
	}
}
