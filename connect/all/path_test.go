package all_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/connect/console"
	"github.com/mitosis-go/mitosis/connect/container"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/connect/openssh"
	"github.com/mitosis-go/mitosis/connect/ssh"
)

func TestParsePath(t *testing.T) {
	for path, want := range map[string][]connect.Method{
		"ssh:web1":                             {ssh.Login{Host: "web1"}},
		"ssh:deploy@web1:2222/sudo:root/local": {ssh.Login{User: "deploy", Host: "web1", Port: 2222}, become.Sudo{User: "root"}, local.Child{}},
		"sudo":                                 {become.Sudo{}},
		"sudo:DOMAIN\\someone":                 {become.Sudo{User: "DOMAIN\\someone"}},
		"openssh:web1:22":                      {openssh.Login{Host: "web1", Port: 22}},
		"ssh:a@b@web1":                         {ssh.Login{User: "a@b", Host: "web1"}},
		"ssh:fe80::1%eth0":                     {ssh.Login{Host: "fe80::1%eth0"}},
		"ssh:[fe80::1]":                        {ssh.Login{Host: "fe80::1"}},
		"ssh:u@[::1]:2222":                     {ssh.Login{User: "u", Host: "::1", Port: 2222}},
		"local:":                               {local.Child{}},
		"su/doas:me":                           {become.Su{}, become.Doas{User: "me"}},
		"unshare/docker:app/podman:p.1":        {container.Unshare{}, container.Docker{Container: "app"}, container.Podman{Container: "p.1"}},
		"buildah:b/lxc:c/lxd:r:i/incus:i":      {container.Buildah{Container: "b"}, container.LXC{Container: "c"}, container.LXD{Instance: "r:i"}, container.Incus{Instance: "i"}},
		"jail:7/machinectl:m":                  {container.Jail{Jail: "7"}, container.Machinectl{Machine: "m"}},
		"kubectl:web":                          {container.Kubectl{Pod: "web"}},
		"kubectl:web:side@prod":                {container.Kubectl{Pod: "web", Container: "side", Namespace: "prod"}},
		"nsenter:4711/nsenter:lxc:c":           {container.Nsenter{PID: 4711}, container.Nsenter{Container: "c", Runtime: container.RuntimeLXC}},
		"console:ttyS0/local":                  {console.Login{Device: "/dev/ttyS0"}, local.Child{}},
		"console:/dev/ttyS0/sudo":              {console.Login{Device: "/dev/ttyS0"}, become.Sudo{}},
		"console:me@/dev/ttyUSB0:9600/local":   {console.Login{Device: "/dev/ttyUSB0", User: "me", Baud: 9600}, local.Child{}},
		"console:a@b@[/run/vm/a,b.sock]/su":    {console.Login{Device: "/run/vm/a,b.sock", User: "a@b"}, become.Su{}},
		"console:[/dev/serial/by-id/x]:4000":   {console.Login{Device: "/dev/serial/by-id/x", Baud: 4000}},
		"console:me@tcp:ts1:2003/local":        {console.Login{Address: "ts1:2003", User: "me"}, local.Child{}},
		"console:tcp:[::1]:23":                 {console.Login{Address: "[::1]:23"}},
		"ssh:local":                            {ssh.Login{Host: "local"}},
		"jump,me@inner:2222,10.0.0.1":          {ssh.Login{Host: "10.0.0.1", ProxyJump: []ssh.Login{{Host: "jump"}, {User: "me", Host: "inner", Port: 2222}}}},
		"jump,me@inner/sudo":                   {ssh.Login{User: "me", Host: "inner", ProxyJump: []ssh.Login{{Host: "jump"}}}, become.Sudo{}},
		"ssh:a/b,c":                            {ssh.Login{Host: "a"}, ssh.Login{Host: "c", ProxyJump: []ssh.Login{{Host: "b"}}}},
		"ssh:local,web":                        {ssh.Login{Host: "web", ProxyJump: []ssh.Login{{Host: "local"}}}},
		"openssh:j@a:23,b,c:24":                {openssh.Login{Host: "c", Port: 24, ProxyJump: "j@a:23,b"}},
		"::1":                                  {ssh.Login{Host: "::1"}},
	} {
		got, err := connect.ParsePath(path)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as %+v (error: %v), want %+v", path, got, err, want)
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
		"rsh:web1":         "no method (buildah, chroot, console, doas, ",
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
		got, err := connect.ParsePath(path)
		if !errors.Is(err, connect.ErrBadName) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q was taken as %+v, %v", path, got, err)
		}
	}
}

func init() {
	connect.RegisterSyntax("path-test", func(arg string) (connect.Method, error) { return local.Exec{Name: arg}, nil })
}

func TestRegisterSyntax(t *testing.T) {
	got, err := connect.ParsePath("ssh:web1/path-test:a:b@c")
	if err != nil || len(got) != 2 || !reflect.DeepEqual(got[1], local.Exec{Name: "a:b@c"}) {
		t.Errorf("the path is read as %+v (error: %v), want a second hop by the registered syntax", got, err)
	}
	for _, name := range []string{"", "path-test", "a/b", "a,b", "a:b", "a@b", "a b"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q was taken", name)
				}
			}()
			connect.RegisterSyntax(name, nil)
		}()
	}
}

// What is read can be written, and is read the same.
func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{
		"ssh:deploy@web1:2222/sudo:root/local", "jump,me@[fe80::1%eth0]:22,::1", "openssh:a@b@c/sudo", "[,]",
		"console:a@[/dev/tcp]:1/console:/dev/x:9/console:tcp:[::1]:2", "docker:[a/b:1]?run&user=x&arg=%2F%26", "chroot:[/a%5Db#1]?user=x#2",
		"sudo:x?login=no&keep-env=a&keep-env=b", "web?Port=1&port=2&key=[a,b/c]&timeout=1h", "kubectl:[deployment/a]:b@c?context=d",
		"nsenter:lxc:a?net&pid", "console:[/a[b]?silence=1ms", "su?shell=[/x?]", "lxd:r:i?uid=1", "openssh:j@h:22,w?Port=2&verbose=3",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		hops, err := connect.ParsePath(path)
		if err != nil {
			if !errors.Is(err, connect.ErrBadName) {
				t.Fatalf("%q: error %v, want %q", path, err, connect.ErrBadName)
			}
			return
		}
		text, err := connect.FormatPath(hops)
		if err != nil {
			t.Fatalf("%q is read as %+v, which can't be written: %v", path, hops, err)
		}
		again, err := connect.ParsePath(text)
		if err != nil || !reflect.DeepEqual(again, hops) {
			t.Fatalf("%q is read as %+v, and when it is written as %q as %+v, %v", path, hops, text, again, err)
		}
	})
}
