package entropy

import "math/bits"

// Bit is the price of one bit.
const Bit = 256

// Log2 is the logarithm of n, which is above 0, in units of 1/Bit. It is exact
// for powers of two, and 0.02 off at the worst.
func Log2(n uint32) int32 {
	whole := bits.Len32(n) - 1
	part := int32(uint64(n)<<8>>whole) - Bit
	return int32(whole)*Bit + part + part*(Bit-part)*88>>16
}

// Prices sets what a symbol costs that occurs so often among all, and at least
// least. One that has not occurred yet costs somewhat more than one that has once.
func Prices(prices, counts []int32, least int32) {
	total := uint32(1)
	for _, n := range counts {
		total += uint32(n)
	}
	all := Log2(2 * total)
	for i, n := range counts {
		prices[i] = max(all-Log2(uint32(2*n+1)), least)
	}
}
