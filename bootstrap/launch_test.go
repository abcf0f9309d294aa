//go:build linux

package bootstrap

import "testing"

func TestLocalChildIsReady(t *testing.T) {
	l := NewLaunch(opts())
	s := born(t, l, start(t, l.direct()), "")
	if s.StartMethod != StartExec || s.Hello.Pid == 0 || s.Hello.GOOS != "linux" {
		t.Errorf("session %+v", s)
	}
	answers(t, s)
}

func TestEachStartMethod(t *testing.T) {
	for _, method := range startMethods {
		t.Run(method, func(t *testing.T) {
			o := opts()
			o.StartMethods = []string{method}
			l := NewLaunch(o)
			s := born(t, l, start(t, l.command()), "")
			if s.StartMethod != method {
				t.Errorf("start method %s", s.StartMethod)
			}
			answers(t, s)
		})
	}
}

// What is put into a program is not looked at again, and an @ of its own stays.
func TestFilled(t *testing.T) {
	for _, test := range []struct{ program, want string }{
		{"a @X@ b @Y@@X@", "a @Y@ b y@Y@"},
		{"@a=@ARGV;@X@", "@a=@ARGV;@Y@"},
		{"m{@}@X", "m{@}@X"},
		{"@@X@", "@@Y@"},
		{"", ""},
	} {
		if got := filled(test.program, "X", "@Y@", "Y", "y"); got != test.want {
			t.Errorf("%q becomes %q, want %q", test.program, got, test.want)
		}
	}
}
