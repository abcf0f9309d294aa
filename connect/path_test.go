package connect

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	for path, want := range map[string][]Method{
		"ssh:web1":                             {SSH{Host: "web1"}},
		"ssh:deploy@web1:2222/sudo:root/local": {SSH{User: "deploy", Host: "web1", Port: 2222}, Sudo{User: "root"}, Local{}},
		"sudo":                                 {Sudo{}},
		"sudo:DOMAIN\\someone":                 {Sudo{User: "DOMAIN\\someone"}},
		"openssh:web1:22":                      {OpenSSH{Host: "web1", Port: 22}},
		"ssh:a@b@web1":                         {SSH{User: "a@b", Host: "web1"}},
		"ssh:fe80::1%eth0":                     {SSH{Host: "fe80::1%eth0"}},
		"ssh:[fe80::1]":                        {SSH{Host: "fe80::1"}},
		"ssh:u@[::1]:2222":                     {SSH{User: "u", Host: "::1", Port: 2222}},
		"local:":                               {Local{}},
		"su/doas:me":                           {Su{}, Doas{User: "me"}},
		"unshare/docker:app/podman:p.1":        {Unshare{}, Docker{Container: "app"}, Podman{Container: "p.1"}},
		"buildah:b/lxc:c/lxd:r:i/incus:i":      {Buildah{Container: "b"}, LXC{Container: "c"}, LXD{Instance: "r:i"}, Incus{Instance: "i"}},
		"jail:7/machinectl:m":                  {Jail{Jail: "7"}, Machinectl{Machine: "m"}},
		"kubectl:web":                          {Kubectl{Pod: "web"}},
		"kubectl:web:side@prod":                {Kubectl{Pod: "web", Container: "side", Namespace: "prod"}},
		"nsenter:4711/nsenter:lxc:c":           {Nsenter{PID: 4711}, Nsenter{Container: "c", Runtime: RuntimeLXC}},
		"console:ttyS0/local":                  {Console{Device: "/dev/ttyS0"}, Local{}},
		"console:/dev/ttyS0/sudo":              {Console{Device: "/dev/ttyS0"}, Sudo{}},
		"console:me@/dev/ttyUSB0:9600/local":   {Console{Device: "/dev/ttyUSB0", User: "me", Baud: 9600}, Local{}},
		"console:a@b@[/run/vm/a,b.sock]/su":    {Console{Device: "/run/vm/a,b.sock", User: "a@b"}, Su{}},
		"console:[/dev/serial/by-id/x]:4000":   {Console{Device: "/dev/serial/by-id/x", Baud: 4000}},
		"console:me@tcp:ts1:2003/local":        {Console{Address: "ts1:2003", User: "me"}, Local{}},
		"console:tcp:[::1]:23":                 {Console{Address: "[::1]:23"}},
		"ssh:local":                            {SSH{Host: "local"}},
		"jump,me@inner:2222,10.0.0.1":          {SSH{Host: "10.0.0.1", ProxyJump: []SSH{{Host: "jump"}, {User: "me", Host: "inner", Port: 2222}}}},
		"jump,me@inner/sudo":                   {SSH{User: "me", Host: "inner", ProxyJump: []SSH{{Host: "jump"}}}, Sudo{}},
		"ssh:a/b,c":                            {SSH{Host: "a"}, SSH{Host: "c", ProxyJump: []SSH{{Host: "b"}}}},
		"ssh:local,web":                        {SSH{Host: "web", ProxyJump: []SSH{{Host: "local"}}}},
		"openssh:j@a:23,b,c:24":                {OpenSSH{Host: "c", Port: 24, ProxyJump: "j@a:23,b"}},
		"::1":                                  {SSH{Host: "::1"}},
	} {
		got, err := ParsePath(path)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", path, got, err)
		}
	}
	for path, says := range map[string]string{
		"":                 "empty",
		"/":                "empty",
		"ssh:":             "empty",
		"ssh":              "empty",
		"ssh:a//local":     "empty",
		"ssh:a,,b":         "empty",
		"a,":               "empty",
		"ssh:a,sudo:b":     "not a port",
		"sudo:a,b":         "a slash between hops",
		"console:a,local":  "a slash between hops",
		"local/":           "empty",
		"local:x":          "no argument",
		"ssh:web1:port":    `"port" is not a port`,
		"ssh:web1:0":       "not a port",
		"ssh:web1:70000":   "not a port",
		"[:]":              "no address",
		"ssh:a:b:c":        "no address",
		"ssh:[::1:22":      "missing ']'",
		"ssh:[::1]22":      "missing port",
		"ssh:-oProxy=x":    "looks like an option",
		"ssh:u@-v":         "looks like an option",
		"ssh:@web1":        "the user is empty",
		"sudo:-x":          "looks like an option",
		"sudo:a b":         "holds the character",
		"rsh:web1":         "no method (buildah, console, doas, ",
		"su:-c":            "looks like an option",
		"console":          "empty",
		"console:@ttyS0":   "the user is empty",
		"console:-x":       "looks like an option",
		"console:a:b":      "no speed",
		"console:ttyS0:0":  "no speed",
		"console:[tty]":    "no path in brackets",
		"console:[/a":      "no path in brackets",
		"console:[/a]9":    "no speed",
		"console:tcp:ts1":  "no port",
		"ssh:/dev/x":       "holds the character",
		"docker":           "empty",
		"docker:-it":       "looks like an option",
		"kubectl::c":       "empty",
		"nsenter:0":        "no process number",
		"nsenter:rkt:c":    "no runtime",
		"unshare:x":        "no argument",
		"ssh:web1;reboot":  "holds the character",
		"ssh:web1\x00":     "holds the character",
		"web1:2222:3:x y":  "holds the character",
		"ssh:web1/ sudo":   "holds the character",
		"ssh:w/ssh:\xff\n": "holds the character",
	} {
		got, err := ParsePath(path)
		if !errors.Is(err, ErrBadName) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q was taken as %+v, %v", path, got, err)
		}
	}
}

func init() {
	Register[Console]("console") // as package connect/console does
	RegisterSyntax("console", ParseConsole)
	RegisterSyntax("path-test", func(arg string) (Method, error) { return Command{Name: arg}, nil })
}

func TestRegisterSyntax(t *testing.T) {
	got, err := ParsePath("ssh:web1/path-test:a:b@c")
	if err != nil || len(got) != 2 || !reflect.DeepEqual(got[1], Command{Name: "a:b@c"}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, name := range []string{"", "path-test", "a/b", "a,b", "a:b", "a@b", "a b"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q was taken", name)
				}
			}()
			RegisterSyntax(name, nil)
		}()
	}
}

// A path is read as its labels say it, which is how it is shown.
func FuzzParsePath(f *testing.F) {
	f.Add("ssh:deploy@web1:2222/sudo:root/local")
	f.Add("jump,me@[fe80::1%eth0]:22,::1")
	f.Add("openssh:a@b@c/sudo")
	f.Add("[,]")
	f.Add("console:a@[/dev/tcp]:1/console:/dev/x:9/console:tcp:[::1]:2")
	f.Fuzz(func(t *testing.T, path string) {
		hops, err := ParsePath(path)
		if err != nil {
			if !errors.Is(err, ErrBadName) {
				t.Fatalf("%q: %v", path, err)
			}
			return
		}
		var labels []string
		for _, h := range hops {
			labels = append(labels, h.Label())
		}
		again, err := ParsePath(strings.Join(labels, "/"))
		if err != nil || len(again) != len(hops) {
			t.Fatalf("%q became %q, which is %+v, %v", path, labels, again, err)
		}
		for i := range again {
			if again[i].Label() != labels[i] {
				t.Fatalf("%q: %q became %q", path, labels[i], again[i].Label())
			}
		}
	})
}
