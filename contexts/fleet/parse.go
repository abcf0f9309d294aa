package fleet

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrSyntax is matched by errors about the text of a host set.
var ErrSyntax = errors.New("not a host set")

// ErrNoGroup is matched by errors about a group that nobody knows.
var ErrNoGroup = errors.New("no such group")

// MaxHosts bounds how many names one text may stand for.
const MaxHosts = 1 << 20

// Groups knows the hosts of groups, which a host set names with an at sign. An inventory is
// one.
type Groups interface {
	// Group returns the hosts of a group. The name is the text behind the at sign; "*" stands
	// for all hosts. The error for an unknown name matches ErrNoGroup.
	Group(name string) (HostSet, error)
}

// ParseHosts reads a host set that names no groups; the package comment says how it is
// written. An error matches [ErrSyntax] and says where the text goes wrong, or [ErrNoGroup]. An empty text is
// the empty set.
func ParseHosts(text string) (HostSet, error) { return ParseHostsWith(nil, text) }

// ParseHostsWith reads a host set that may name groups.
func ParseHostsWith(groups Groups, text string) (HostSet, error) {
	p := parser{groups: groups, rest: text, text: text, left: MaxHosts}
	set, err := p.parse()
	if err != nil {
		return HostSet{}, fmt.Errorf("hosts %s: %w", excerpt(text), err)
	}
	return set, nil
}

// parser reads a host set from left to right.
type parser struct {
	groups Groups
	text   string
	rest   string // of text
	left   int    // names that may still come
}

func (p *parser) failed(format string, args ...any) error {
	return fmt.Errorf("%w: at byte %d: %w", ErrSyntax, len(p.text)-len(p.rest), fmt.Errorf(format, args...))
}

// excerpt quotes the beginning of a text.
func excerpt(text string) string {
	const most = 60
	if len(text) <= most {
		return strconv.Quote(text)
	}
	return strconv.Quote(text[:most]) + "..."
}

// spaces separate members as a comma does.
const spaces = " \t\r\n"

func (p *parser) parse() (none HostSet, err error) {
	var set builder
	op := byte(',')
	p.rest = strings.TrimLeft(p.rest, spaces)
	if p.rest == "" {
		return none, nil
	}
	for {
		operand, err := p.operand()
		if err != nil {
			return none, err
		}
		switch op {
		case ',':
			set.add(operand)
		case '!':
			set.remove(operand)
		case '&':
			set.keep(operand)
		case '^':
			set.toggle(operand)
		}
		spaced := len(p.rest)
		p.rest = strings.TrimLeft(p.rest, spaces)
		if p.rest == "" {
			return set.set(), nil
		}
		if op = p.rest[0]; !isOperator(op) {
			if op = ','; spaced == len(p.rest) {
				return none, p.failed("an operator is missing")
			}
			continue
		}
		p.rest = strings.TrimLeft(p.rest[1:], spaces)
		if (op == ',' || op == '&') && strings.HasPrefix(p.rest, "!") {
			// What is to be left out is left out of all so far, as people write it.
			op, p.rest = '!', strings.TrimLeft(p.rest[1:], spaces)
		}
	}
}

func isOperator(c byte) bool { return c == ',' || c == '!' || c == '&' || c == '^' }

// operand reads the names of one member or group.
func (p *parser) operand() ([]string, error) {
	isGroup := strings.HasPrefix(p.rest, "@")
	if isGroup {
		p.rest = p.rest[1:]
	}
	parts, err := p.member()
	if err != nil {
		return nil, err
	}
	names, err := p.combine(parts)
	if err != nil {
		return nil, err
	}
	if !isGroup {
		p.left -= len(names)
		return names, nil
	}
	if p.groups == nil {
		return nil, fmt.Errorf("%w: @%s, since there is no inventory", ErrNoGroup, names[0])
	}
	var all builder
	for _, name := range names {
		hosts, err := p.groups.Group(name)
		if err != nil {
			return nil, fmt.Errorf("@%s: %w", name, err)
		}
		if p.left -= hosts.Len(); p.left < 0 {
			return nil, p.tooMany()
		}
		all.add(hosts.names)
	}
	return all.set().names, nil
}

func (p *parser) tooMany() error { return p.failed("more than %d names", MaxHosts) }

// member reads up to the next operator or space. Each part is a list of alternatives: one
// for text, several for a range.
func (p *parser) member() ([][]string, error) {
	var parts [][]string
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			parts = append(parts, []string{text.String()})
			text.Reset()
		}
	}
	for p.rest != "" {
		c := p.rest[0]
		switch {
		case c == '\\':
			if len(p.rest) == 1 {
				return nil, p.failed("nothing is behind the backslash")
			}
			text.WriteByte(p.rest[1])
			p.rest = p.rest[2:]
			continue
		case c == ']':
			return nil, p.failed("a bracket is closed that was not opened")
		case c == '[':
			inside, _, ok := strings.Cut(p.rest[1:], "]")
			if !ok {
				return nil, p.failed("the bracket is not closed")
			}
			if literalBrackets(inside) {
				text.WriteString("[" + inside + "]")
			} else {
				flush()
				numbers, err := p.ranges(inside)
				if err != nil {
					return nil, err
				}
				parts = append(parts, numbers)
			}
			p.rest = p.rest[len(inside)+2:]
			continue
		case isOperator(c) || strings.IndexByte(spaces, c) >= 0:
			flush()
			if parts == nil {
				return nil, p.failed("a name is missing in front of %q", c)
			}
			return parts, nil
		}
		text.WriteByte(c)
		p.rest = p.rest[1:]
	}
	flush()
	if parts == nil {
		return nil, p.failed("a name is missing at the end")
	}
	return parts, nil
}

// literalBrackets reports whether brackets with this between them are part of a name: an
// IPv6 address or the path of a device.
func literalBrackets(inside string) bool {
	return strings.Contains(inside, ":") || strings.HasPrefix(inside, "/")
}

// ranges reads what is between brackets: numbers, and ranges of them.
func (p *parser) ranges(inside string) ([]string, error) {
	var all []string
	for item := range strings.SplitSeq(inside, ",") {
		item = strings.Trim(item, spaces)
		span, stepText, hasStep := strings.Cut(item, "/")
		first, last, isRange := strings.Cut(span, "-")
		if !isRange {
			last = first
		}
		first, last = strings.Trim(first, spaces), strings.Trim(last, spaces)
		lo, err := number(first)
		hi, err2 := number(last)
		step := uint64(1)
		if hasStep && err == nil {
			step, err = number(strings.Trim(stepText, spaces))
		}
		switch {
		case err != nil || err2 != nil || hasStep && !isRange:
			return nil, p.failed("%q is neither a number nor a range such as 1-3, 01-10 or 0-8/2", item)
		case step == 0:
			return nil, p.failed("the step of %q is 0", item)
		case hi < lo:
			return nil, p.failed("the range %q ends before it begins", item)
		case (padded(first) || padded(last)) && len(first) != len(last):
			return nil, p.failed("the ends of %q have leading zeros and not the same length", item)
		case (hi-lo)/step >= uint64(p.left) || len(all) >= p.left:
			return nil, p.tooMany()
		}
		for n := lo; ; n += step {
			all = append(all, fmt.Sprintf("%0*d", widthOf(first), n))
			if hi-n < step {
				break
			}
		}
	}
	return all, nil
}

// maxDigits is how many digits a number of a range may have. Longer ones are text.
const maxDigits = 18

func number(s string) (uint64, error) {
	if len(s) > maxDigits || strings.HasPrefix(s, "+") {
		return 0, strconv.ErrRange
	}
	return strconv.ParseUint(s, 10, 64)
}

// padded reports whether a number is written with leading zeros.
func padded(s string) bool { return len(s) > 1 && s[0] == '0' }

// widthOf is the least number of digits in the range that begins with s.
func widthOf(s string) int {
	if padded(s) {
		return len(s)
	}
	return 0
}

// combine returns all combinations of the alternatives of the parts.
func (p *parser) combine(parts [][]string) ([]string, error) {
	n := 1
	for _, part := range parts {
		if n *= len(part); n > p.left {
			return nil, p.tooMany()
		}
	}
	names := []string{""}
	for _, part := range parts {
		longer := make([]string, 0, len(names)*len(part))
		for _, name := range names {
			for _, s := range part {
				longer = append(longer, name+s)
			}
		}
		names = longer
	}
	return names, nil
}
