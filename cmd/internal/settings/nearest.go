package settings

import (
	"strings"
)

// meant returns a question for a word that is none of the known ones, with those that are like it;
// "" if none is.
func meant(word string, known []string) string {
	word = strings.ReplaceAll(strings.ToLower(word), "-", "_")
	nearest, like := max(2, len(word)/3)+1, []string(nil)
	for _, one := range known {
		d := distance(word, one)
		if len(word) >= 3 && (strings.HasPrefix(one, word) || strings.HasPrefix(word, one)) {
			d = min(d, 1)
		}
		switch {
		case d >= len(one) || d > nearest:
		case d < nearest:
			nearest, like = d, []string{one}
		case d == nearest && like != nil:
			like = append(like, one)
		}
	}
	if like == nil {
		return ""
	}
	return ": did you mean " + strings.Join(like, " or ") + "?"
}

// distance is the number of characters that have to be inserted, removed or replaced to make one
// word of the other (Levenshtein).
func distance(a, b string) int {
	from, to := []rune(a), []rune(b)
	row := make([]int, len(to)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range from {
		diagonal := row[0]
		row[0] = i + 1
		for j, y := range to {
			cost := diagonal
			if x != y {
				cost++
			}
			diagonal, row[j+1] = row[j+1], min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(to)]
}
