package inventory

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/google/shlex"
)

// readINI reads an inventory in Ansible's INI form.
func (i *Inventory) readINI(text []byte) error {
	section, kind := "ungrouped", "hosts"
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		var err error
		switch {
		case line[0] == '[' && strings.HasSuffix(uncommented(line), "]"):
			section, kind, err = i.readSection(uncommented(line))
		case kind == "hosts":
			err = i.readHostLine(section, line)
		case kind == "children":
			i.addChild(section, uncommented(line))
		case kind == "vars":
			name, value, ok := strings.Cut(line, "=")
			if !ok {
				err = fmt.Errorf("%q is no variable: an equals sign is missing", line)
				break
			}
			set(&i.group(section).vars, map[string]any{strings.TrimSpace(name): iniValue(strings.TrimSpace(value))})
		}
		if err != nil {
			return fmt.Errorf("%w: line %d: %w", ErrInvalid, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

func uncommented(line string) string {
	if at := strings.Index(line, " #"); at >= 0 {
		line = line[:at]
	}
	return strings.TrimSpace(line)
}

func (i *Inventory) readSection(line string) (name, kind string, err error) {
	name, kind, _ = strings.Cut(line[1:len(line)-1], ":")
	switch kind {
	case "":
		kind = "hosts"
	case "hosts", "children", "vars":
	default:
		return "", "", fmt.Errorf("a section is of :children or :vars, not of :%s", kind)
	}
	if name == "" {
		return "", "", fmt.Errorf("the section has no name")
	}
	if name != "ungrouped" {
		i.group(name)
	}
	return name, kind, nil
}

// readHostLine reads "web[01:50]:22 name=value ...".
func (i *Inventory) readHostLine(section, line string) error {
	words, err := shlex.Split(line)
	if err != nil {
		return fmt.Errorf("%q: %w", line, err)
	}
	if len(words) == 0 {
		return nil
	}
	pattern, port := cutPort(words[0])
	names, err := expandPattern(pattern)
	if err != nil {
		return err
	}
	vars := make(map[string]any)
	if port != 0 {
		vars["ansible_port"] = port
	}
	for _, word := range words[1:] {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return fmt.Errorf("%q is no variable of %s: an equals sign is missing", word, pattern)
		}
		vars[name] = iniValue(value)
	}
	i.addHosts(section, names, vars)
	return nil
}

// addHosts adds hosts with the same variables to a group.
func (i *Inventory) addHosts(groupName string, names []string, vars map[string]any) {
	if groupName == "ungrouped" {
		groupName = all
	}
	i.addTo(groupName, names...)
	for _, name := range names {
		set(&i.hosts[name].vars, vars)
	}
}

// cutPort takes the port off "host:22". Of an IPv6 address without brackets all is address.
func cutPort(pattern string) (string, int) {
	at := strings.LastIndexByte(pattern, ':')
	if at < 0 || strings.IndexByte(pattern[at:], ']') >= 0 {
		return pattern, 0
	}
	port, err := strconv.Atoi(pattern[at+1:])
	front := pattern[:at]
	if err != nil || strings.Contains(front, ":") && !strings.Contains(front, "[") {
		return pattern, 0
	}
	if strings.HasPrefix(front, "[") && strings.HasSuffix(front, "]") && strings.Count(front, ":") > 2 {
		front = front[1 : len(front)-1] // an IPv6 address
	}
	return front, port
}

// decimal is a number with a point, as in Python.
var decimal = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[-+]?[0-9]+\.[0-9]+$`) })

// iniValue is what a value means: a number, true or false where it is written as in Python,
// and else a text.
func iniValue(s string) any {
	if n, err := strconv.Atoi(s); err == nil && (s == "0" || !strings.HasPrefix(strings.TrimLeft(s, "+-"), "0")) {
		return n
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && decimal().MatchString(s) {
		return f
	}
	switch s {
	case "True":
		return true
	case "False":
		return false
	case "None":
		return nil
	}
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// expandPattern returns the names of a host line: web[01:50], db-[a:f], n[0:8:2].
func expandPattern(pattern string) ([]string, error) {
	front, rest, ok := strings.Cut(pattern, "[")
	span, back, closed := strings.Cut(rest, "]")
	if !ok || !closed {
		return []string{pattern}, nil
	}
	parts := strings.Split(span, ":")
	if len(parts) < 2 || len(parts) > 3 {
		if strings.Count(span, ":") > 2 {
			return []string{pattern}, nil // an IPv6 address
		}
		return nil, fmt.Errorf("%q: a range is [1:10], [01:10], [a:f] or [0:8:2]", pattern)
	}
	step := 1
	if len(parts) == 3 {
		var err error
		if step, err = strconv.Atoi(parts[2]); err != nil || step < 1 {
			return nil, fmt.Errorf("%q: the step is %q and not a number from 1", pattern, parts[2])
		}
	}
	middle, err := expandSpan(cmp.Or(parts[0], "0"), parts[1], step)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", pattern, err)
	}
	ends, err := expandPattern(back)
	if err != nil {
		return nil, err
	}
	if len(middle)*len(ends) > mostHosts {
		return nil, fmt.Errorf("%q: more than %d names", pattern, mostHosts)
	}
	var names []string
	for _, m := range middle {
		for _, end := range ends {
			names = append(names, front+m+end)
		}
	}
	return names, nil
}

// mostHosts bounds the names that one pattern stands for.
const mostHosts = 1 << 20

// letters are the order of those in a range.
const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

func expandSpan(first, last string, step int) ([]string, error) {
	var names []string
	if len(first) == 1 && len(last) == 1 && strings.Contains(letters, first) && strings.Contains(letters, last) {
		from, to := strings.Index(letters, first), strings.Index(letters, last)
		if from > to {
			return nil, fmt.Errorf("the range ends before it begins")
		}
		for n := from; n <= to; n += step {
			names = append(names, letters[n:n+1])
		}
		return names, nil
	}
	from, err := strconv.Atoi(first)
	to, err2 := strconv.Atoi(last)
	switch {
	case err != nil || err2 != nil || from < 0:
		return nil, fmt.Errorf("%q and %q are not the ends of a range", first, last)
	case from > to:
		return nil, fmt.Errorf("the range ends before it begins")
	case (to-from)/step >= mostHosts:
		return nil, fmt.Errorf("more than %d names", mostHosts)
	case len(first) > 1 && first[0] == '0' && len(first) != len(last):
		return nil, fmt.Errorf("the ends %q and %q have leading zeros and not the same length", first, last)
	}
	width := 0
	if len(first) > 1 && first[0] == '0' {
		width = len(first)
	}
	for n := from; n <= to; n += step {
		names = append(names, fmt.Sprintf("%0*d", width, n))
	}
	return names, nil
}
