// Package entropy has what the formats that images travel in have in common:
// words of a Huffman code, prices of symbols, and bits in bytes.
package entropy

import "slices"

type node struct {
	count       int
	symbol      int // -1 for an inner node
	left, right int
}

// symbolBits is enough for the literals, lengths and the end of a block: 286.
const symbolBits = 9

// Lengths is, by symbol, how long its word is in the best code for the counts, 0
// for a symbol that does not occur. The code has at least two words, none
// longer than limit bits, at most 15.
func Lengths(counts []int32, limit int) []uint8 {
	// Numbers are sorted, not nodes: the code that sorts numbers is in every
	// program already, and much smaller. A symbol has symbolBits.
	leaves := make([]int, 0, len(counts))
	for i, n := range counts {
		if n > 0 {
			leaves = append(leaves, int(n)<<symbolBits|i)
		}
	}
	for i := 0; len(leaves) < 2; i++ {
		if counts[i] == 0 {
			leaves = append(leaves, 1<<symbolBits|i)
		}
	}
	slices.Sort(leaves)
	nodes := make([]node, 0, 2*len(leaves))
	for _, l := range leaves {
		nodes = append(nodes, node{count: l >> symbolBits, symbol: l & (1<<symbolBits - 1)})
	}
	n := len(nodes)
	// Two queues: the leaves, and the inner nodes as they are made, both in
	// order of their counts.
	leaf, inner := 0, n
	least := func() int {
		if leaf < n && (inner == len(nodes) || nodes[leaf].count <= nodes[inner].count) {
			leaf++
			return leaf - 1
		}
		inner++
		return inner - 1
	}
	for range n - 1 {
		a := least()
		b := least()
		nodes = append(nodes, node{nodes[a].count + nodes[b].count, -1, a, b})
	}
	// How many words there are of each length, with those too long cut.
	depths := make([]int, len(nodes))
	var byLength [16]int
	for i := len(nodes) - 1; i >= 0; i-- {
		if nodes[i].symbol >= 0 {
			byLength[min(depths[i], limit)]++
			continue
		}
		depths[nodes[i].left], depths[nodes[i].right] = depths[i]+1, depths[i]+1
	}
	shorten(&byLength, limit)
	lengths := make([]uint8, len(counts))
	i := 0 // the rarest symbols have the longest words
	for length := limit; length > 0; length-- {
		for range byLength[length] {
			lengths[nodes[i].symbol] = uint8(length)
			i++
		}
	}
	return lengths
}

// shorten makes room for words that were cut to limit: for each too many, a
// shorter one becomes the beginning of two.
func shorten(byLength *[16]int, limit int) {
	used := 0
	for length := 1; length <= limit; length++ {
		used += byLength[length] << (limit - length)
	}
	for ; used > 1<<limit; used-- {
		length := limit - 1
		for byLength[length] == 0 {
			length--
		}
		byLength[length]--
		byLength[length+1] += 2
		byLength[limit]--
	}
}
