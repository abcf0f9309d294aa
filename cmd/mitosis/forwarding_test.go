package main

import (
	"strings"
	"testing"
)

func TestForwardings(t *testing.T) {
	for line, want := range map[string]string{
		"L 80:web:8080":                      "tcp localhost:80 tcp web:8080",
		"L 127.0.0.1:0:web:8080":             "tcp 127.0.0.1:0 tcp web:8080",
		"L *:80:web:8080":                    "tcp :80 tcp web:8080",
		"L :80:web:8080":                     "tcp :80 tcp web:8080",
		"L [::1]:80:[fe80::1%eth0]:8080":     "tcp [::1]:80 tcp [fe80::1%eth0]:8080",
		"L 80:/run/db.sock":                  "tcp localhost:80 unix /run/db.sock",
		"L 10.0.0.1:80:/run/db.sock":         "tcp 10.0.0.1:80 unix /run/db.sock",
		"L /tmp/s:web:80":                    "unix /tmp/s tcp web:80",
		"L /tmp/s:/run/db.sock":              "unix /tmp/s unix /run/db.sock",
		`L /tmp/a\:b:/run/c\\d`:              `unix /tmp/a:b unix /run/c\d`,
		"R 80:localhost:8080":                "tcp localhost:80 tcp localhost:8080",
		"R /tmp/s:localhost:8080":            "unix /tmp/s tcp localhost:8080",
		"R 1080":                             "tcp localhost:1080  ",
		"D 1080":                             "tcp localhost:1080  ",
		"D 0.0.0.0:1080":                     "tcp 0.0.0.0:1080  ",
		"D *:1080":                           "tcp :1080  ",
		"D [::1]:1080":                       "tcp [::1]:1080  ",
		"D /tmp/socks":                       "unix /tmp/socks  ",
		"L 80":                               "!where to",
		"L 127.0.0.1:80":                     "!where to",
		"L /tmp/s":                           "!where to",
		"L 80:web":                           "!\"web\" is not a port",
		"L 80:web:http":                      "!\"http\" is not a port",
		"L 80:web:0":                         "!\"0\" is not a port",
		"L 80:web:65536":                     "!\"65536\" is not a port",
		"L -1:web:80":                        "!\"-1\" is not a port",
		"L x:80:web:8080:9":                  "!a target is",
		"L 80::8080":                         "!no host",
		"L /tmp/s:web":                       "!a target is",
		"L /a:/b:/c":                         "!too many",
		"L a:80:web:8080:/x":                 "!too many",
		"L [::1:80:web:8080":                 "!bracket",
		"L [::1]80:web:8080":                 "!bracket",
		"L ::1:80:web:8080":                  "!is not a port",
		"L ":                                 "!\"\" is not a port",
		"D 1080:web:80":                      "!all that is wanted",
		"D 1080:/run/s":                      "!all that is wanted",
		"R " + strings.Repeat("a:", 1000):    "!is not a port",
		"R 80:localhost:8080:localhost:8080": "!is not a port",
	} {
		f, err := parseForwarding(line[0], line[2:])
		got := strings.Join([]string{f.listen.network, f.listen.addr, f.target.network, f.target.addr}, " ")
		if text, fails := strings.CutPrefix(want, "!"); fails {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %s, %v, not %q", line, got, err, text)
			}
		} else if err != nil || got != want || f.option != line[0] {
			t.Errorf("%s: %s, %v, not %s", line, got, err, want)
		}
	}
}

func FuzzForwarding(f *testing.F) {
	for _, s := range []string{"80:web:8080", "[::1]:80:[::2]:81", `/a\:b:/c`, "*:1", "\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, option := range []byte("LRD") {
			got, err := parseForwarding(option, s)
			if err == nil && (got.listen == endpoint{} || got.target == endpoint{} && option == 'L' || got.target != endpoint{} && option == 'D') {
				t.Errorf("-%c %q: %+v", option, s, got)
			}
		}
	})
}

func TestModesOfSockets(t *testing.T) {
	for mode, want := range map[string]string{"660": "", "0600": "", "0": "", "8": "is no mode", "1777": "is no mode", "rw": "is no mode", "-1": "is no mode"} {
		var s sections
		parse := declareForward(&s)
		err := s.flags[0].Parse([]string{"-L", "/a:/b", "--unlink", "--mode", mode})
		if err == nil {
			_, err = parse(words{operands: []string{"local"}})
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, not %q", mode, err, want)
		}
	}
}
