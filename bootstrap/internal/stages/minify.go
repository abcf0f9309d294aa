package stages

import "strings"

// The minifiers take away comments, blank lines and indentation. In shell they also take away
// the ends of lines and the blanks around some operators. They know only as much of each
// language as the files of this package use: a comment has a line of its own, and a string ends
// on the line on which it begins. Tests check that no file means something else when minified.

// isPlace reports whether a line is a comment that stands for a piece.
func isPlace(line string) bool {
	return strings.HasPrefix(line, "# @") && strings.HasSuffix(line, "@") && !strings.Contains(line[3:len(line)-1], " ")
}

// code returns the lines that are neither comments nor blank, without blanks at their ends.
func code(source string) []string {
	var lines []string
	for line := range strings.Lines(source) {
		line = strings.TrimRight(line, " \t\n")
		start := strings.TrimLeft(line, " \t")
		if start == "" || start[0] == '#' && !isPlace(start) {
			continue
		}
		lines = append(lines, line)
	}
	return lines
}

// minifyPerl takes away the indentation of each line.
func minifyPerl(source string) string {
	var b strings.Builder
	for _, line := range code(source) {
		b.WriteString(strings.TrimLeft(line, "\t") + "\n")
	}
	return b.String()
}

// minifyPython makes one blank of each level of indentation.
func minifyPython(source string) string {
	const level = "    "
	var b strings.Builder
	for _, line := range code(source) {
		for strings.HasPrefix(line, level) {
			line = line[len(level):]
			b.WriteByte(' ')
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// minifyShell makes one line of a script.
func minifyShell(source string) string {
	var b strings.Builder
	last := ""
	for _, line := range code(source) {
		line = tight(strings.TrimLeft(line, "\t"))
		b.WriteString(between(last, line) + line)
		last = line
	}
	return b.String()
}

// between returns the text that joins two lines of a shell script.
func between(last, next string) string {
	if last == "" || strings.HasPrefix(next, ";;") {
		return ""
	}
	for _, end := range []string{";", "&&", "||", "|"} {
		if strings.HasSuffix(last, end) {
			return ""
		}
	}
	switch last[strings.LastIndexAny(last, " ;&|)")+1:] {
	case "{", "then", "do", "else", "in":
		return " "
	}
	if endsPattern(last) {
		return ""
	}
	return ";"
}

// endsPattern reports whether a line ends with the parenthesis that closes a pattern of case,
// which nothing opens.
func endsPattern(line string) bool {
	depth := 0
	for i, quoted := range quotes(line) {
		switch {
		case quoted:
		case line[i] == '(':
			depth++
		case line[i] == ')':
			depth--
		}
	}
	return strings.HasSuffix(line, ")") && depth < 0
}

// tight takes away the blanks around operators that are outside of quotes.
func tight(line string) string {
	quoted := quotes(line)
	operator := func(i int) bool {
		return i >= 0 && i < len(line) && !quoted[i] && strings.IndexByte(";&|", line[i]) >= 0
	}
	var b strings.Builder
	for i := range len(line) {
		blank := line[i] == ' ' && !quoted[i]
		// a > b & c has a blank on either side of an operator that is no part of a pair.
		if blank && (operator(i-1) || operator(i+1)) && !single(line, i-1) && !single(line, i+1) {
			continue
		}
		b.WriteByte(line[i])
	}
	return strings.Replace(b.String(), "() {", "(){", 1)
}

// single reports whether line has at i an & that is not part of &&.
func single(line string, i int) bool {
	is := func(i int) bool { return i >= 0 && i < len(line) && line[i] == '&' }
	return is(i) && !is(i-1) && !is(i+1)
}

// quotes reports for each byte of a line whether it is a quote or within quotes, or belongs to a
// backslash and the byte behind it. Code within "$(...)" counts as quoted, up to a quote in it.
func quotes(line string) []bool {
	quoted := make([]bool, len(line))
	var by byte
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case by != '\'' && c == '\\' && i+1 < len(line):
			quoted[i], quoted[i+1] = true, true
			i++
			continue
		case by == 0 && (c == '\'' || c == '"'):
			by = c
		case by == c:
			by = 0
		}
		quoted[i] = by != 0 || c == '"' || c == '\''
	}
	return quoted
}
