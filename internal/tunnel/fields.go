package tunnel

import (
	"errors"
	"strings"
)

// Fields takes what stands behind -L, -R or -D apart at its colons, but not at those
// in brackets and behind a backslash. What is behind the last colon is a field, too.
func Fields(spec string) ([]string, error) {
	var fields []string
	for {
		var field string
		if inner, ok := strings.CutPrefix(spec, "["); ok {
			var closed bool
			if field, spec, closed = strings.Cut(inner, "]"); !closed || spec != "" && spec[0] != ':' {
				return nil, errors.New("a bracket is not closed, or not at the end of a field")
			}
		} else {
			var b strings.Builder
			for spec != "" && spec[0] != ':' {
				if spec[0] == '\\' {
					if spec = spec[1:]; spec == "" {
						return nil, errors.New("nothing is behind the last backslash")
					}
				}
				b.WriteByte(spec[0])
				spec = spec[1:]
			}
			field = b.String()
		}
		fields = append(fields, field)
		if spec == "" {
			return fields, nil
		}
		spec = spec[1:]
	}
}
