package sshconfig

import "strings"

// MatchList is the PATTERNS section of ssh_config(5): a comma-separated
// list of wildcards of which a negated one that matches vetoes the rest.
func MatchList(list, name string) bool {
	found := false
	for pattern := range strings.SplitSeq(strings.ToLower(list), ",") {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if pattern == "" || !MatchWildcard(pattern, name) {
			continue
		}
		if negated {
			return false
		}
		found = true
	}
	return found
}

// MatchWildcard matches * and ? without regard for separators. It runs in
// time proportional to the product of the lengths: patterns come from files
// that several people write.
func MatchWildcard(pattern, s string) bool {
	p, i := 0, 0
	star, mark := -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			p = star + 1
			mark++
			i = mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
