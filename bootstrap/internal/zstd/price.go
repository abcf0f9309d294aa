package zstd

import "github.com/mitosis-go/mitosis/bootstrap/internal/entropy"

// stats says how often codes and literals have been used lately, and what they
// cost.
type stats struct {
	literals [256]int32
	runs     [36]int32 // codes of how many literals there are
	lengths  [53]int32
	offsets  [32]int32

	literalPrice [256]int32
	runPrice     [64]int32  // by number
	lengthPrice  [256]int32 // by number
	runCode      [36]int32
	lengthCode   [53]int32
	offsetPrice  [32]int32 // with the extra bits
}

// guess is for the time when nothing is known yet.
func (s *stats) guess() {
	for i := range s.literals {
		s.literals[i] = 2
	}
	for i := range s.runs {
		s.runs[i] = int32(max(1, 16-i))
	}
	for i := range s.lengths {
		s.lengths[i] = int32(max(1, 16-i))
	}
	for i := range s.offsets {
		s.offsets[i] = int32(1 + max(0, 8-max(i-12, 12-i)))
	}
	s.offsets[0] = 16
}

// setPrices sets prices by what was counted.
func (s *stats) setPrices() {
	entropy.Prices(s.literalPrice[:], s.literals[:], entropy.Bit/2)
	entropy.Prices(s.runCode[:], s.runs[:], 0)
	entropy.Prices(s.lengthCode[:], s.lengths[:], 0)
	entropy.Prices(s.offsetPrice[:], s.offsets[:], 0)
	for i := range s.offsetPrice {
		s.offsetPrice[i] += int32(i) * entropy.Bit
	}
	for i := range s.runPrice {
		code, _, width := literalsCode(int32(i))
		s.runPrice[i] = s.runCode[code] + int32(width)*entropy.Bit
	}
	for i := minMatch; i < len(s.lengthPrice); i++ {
		code, _, width := lengthCode(int32(i))
		s.lengthPrice[i] = s.lengthCode[code] + int32(width)*entropy.Bit
	}
}

// run is the price of saying how many literals there are.
func (s *stats) run(n int32) int32 {
	if int(n) < len(s.runPrice) {
		return s.runPrice[n]
	}
	code, _, width := literalsCode(n)
	return s.runCode[code] + int32(width)*entropy.Bit
}

// count adds the literals and codes of a sequence.
func (s *stats) count(literals []byte, q sequence) {
	for _, b := range literals {
		s.literals[b]++
	}
	code, _, _ := literalsCode(q.literals)
	s.runs[code]++
	code, _, _ = lengthCode(q.length)
	s.lengths[code]++
	code, _, _ = offsetCode(q.offset)
	s.offsets[code]++
}

// fade lets what comes count more than what was.
func (s *stats) fade() {
	for _, counts := range [][]int32{s.literals[:], s.runs[:], s.lengths[:], s.offsets[:]} {
		for i, n := range counts {
			counts[i] = (n + 1) / 2
		}
	}
}
