package fleet

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// String returns the folded form: web[01-30],db1. Names are sorted by the text around their
// numbers. ParseHosts reads it back as a set with the same names. The time that it takes
// grows with the number of names and not faster, but for sorting.
func (h HostSet) String() string {
	groups := make(map[string]*alike)
	var order []*alike
	var key []byte
	for _, name := range h.names {
		texts, numbers := splitName(name)
		key = key[:0]
		for _, text := range texts {
			key = append(strconv.AppendInt(key, int64(len(text)), 10), ':')
			key = append(key, text...)
		}
		g := groups[string(key)]
		if g == nil {
			g = &alike{texts: texts}
			groups[string(key)] = g
			order = append(order, g)
		}
		g.rows = append(g.rows, numbers)
	}
	slices.SortFunc(order, func(a, b *alike) int { return slices.Compare(a.texts, b.texts) })
	var out strings.Builder
	for _, g := range order {
		for _, row := range g.fold() {
			if out.Len() > 0 {
				out.WriteByte(',')
			}
			start := out.Len()
			for i, text := range g.texts {
				writeEscaped(&out, text, out.Len() == start)
				if i < len(row) {
					out.WriteString(row[i])
				}
			}
		}
	}
	return out.String()
}

// alike are names that differ only in their numbers.
type alike struct {
	texts []string   // around the numbers: one more than there are numbers in a row
	rows  [][]string // the numbers of each name; later ranges of numbers
}

// fold joins rows that differ in one place, from the last place to the first, and returns
// the rows that are left, each with ranges in brackets where there is more than one number.
func (g *alike) fold() [][]string {
	for place := len(g.texts) - 2; place >= 0 && len(g.rows) > 1; place-- {
		type bucket struct {
			row     []string
			numbers []string // of all rows that are as this one but for the place
		}
		buckets := make(map[string]*bucket)
		var order []*bucket
		var key strings.Builder
		for _, row := range g.rows {
			key.Reset()
			for i, s := range row {
				if i != place {
					key.WriteString(s)
				}
				key.WriteByte(' ')
			}
			b := buckets[key.String()]
			if b == nil {
				b = &bucket{row: row}
				buckets[key.String()] = b
				order = append(order, b)
			}
			b.numbers = append(b.numbers, row[place])
		}
		g.rows = g.rows[:0]
		for _, b := range order {
			row := slices.Clone(b.row)
			row[place] = foldNumbers(b.numbers)
			g.rows = append(g.rows, row)
		}
	}
	return g.rows
}

// foldNumbers returns numbers as text: one as it stands, several as ranges in brackets.
// They are different texts. Those of a range have the same length, or no leading zeros.
func foldNumbers(numbers []string) string {
	if len(numbers) == 1 {
		return numbers[0]
	}
	slices.SortFunc(numbers, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	})
	var out strings.Builder
	for i := 0; i < len(numbers); {
		first, last := numbers[i], numbers[i]
		for i++; i < len(numbers) && follows(numbers[i], last, first); i++ {
			last = numbers[i]
		}
		if out.Len() > 0 {
			out.WriteByte(',')
		}
		out.WriteString(first)
		if last != first {
			out.WriteString("-" + last)
		}
	}
	return "[" + out.String() + "]"
}

// follows reports whether next belongs into the range from first to last, behind last.
func follows(next, last, first string) bool {
	if len(next) != len(last) && (padded(first) || padded(next)) {
		return false
	}
	n, _ := number(next) // they have no more digits than a number may have
	l, _ := number(last)
	return n == l+1
}

// splitName returns the numbers in a name and the texts around them. What is in brackets that
// are part of the name is text.
func splitName(name string) (texts, numbers []string) {
	start := 0 // of the text
	for i := 0; i < len(name); {
		if name[i] == '[' {
			if inside, _, ok := strings.Cut(name[i+1:], "]"); ok && literalBrackets(inside) {
				i += len(inside) + 2
				continue
			}
		}
		end := i
		for end < len(name) && name[end] >= '0' && name[end] <= '9' {
			end++
		}
		if end == i {
			i++
			continue
		}
		if end-i <= maxDigits {
			texts, numbers = append(texts, name[start:i]), append(numbers, name[i:end])
			start = end
		}
		i = end
	}
	return append(texts, name[start:]), numbers
}

// writeEscaped writes a text of a name so that ParseHosts takes it as it stands; atStart says
// that the name begins with it.
func writeEscaped(out *strings.Builder, text string, atStart bool) {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '[' {
			if inside, _, ok := strings.Cut(text[i+1:], "]"); ok && literalBrackets(inside) {
				out.WriteString(text[i : i+len(inside)+2])
				i += len(inside) + 1
				continue
			}
		}
		if isOperator(c) || strings.IndexByte(spaces+`[]\`, c) >= 0 || c == '@' && i == 0 && atStart {
			out.WriteByte('\\')
		}
		out.WriteByte(c)
	}
}
