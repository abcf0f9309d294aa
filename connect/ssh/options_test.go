//go:build unix

package ssh

import (
	"errors"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
)

// Options win over the files, the fields of the hop over both. Where the files need the ssh
// program, it gets the options, too.
func TestOptionsOverrideTheConfiguration(t *testing.T) {
	const plain, asking = "Host web\n  Port 23\n  User file\n  IdentityFile /from/file\n", "Match exec true\n  Port 23\n  User file\n  IdentityFile /from/file\n"
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Fatal("the ssh program, which this test compares with: ", err)
	}
	for _, c := range []struct {
		options []string
		method  Login
		check   func(*settings) any
		want    any
	}{
		{nil, Login{}, func(s *settings) any { return s.port }, 23},
		{[]string{"Port=24"}, Login{}, func(s *settings) any { return s.port }, 24},
		{[]string{"port 24", "Port=25"}, Login{}, func(s *settings) any { return s.port }, 24},
		{[]string{"Port=24"}, Login{Port: 25}, func(s *settings) any { return s.port }, 25},
		{[]string{"User = other"}, Login{}, func(s *settings) any { return s.user }, "other"},
		{[]string{"HostName=%h.inner"}, Login{}, func(s *settings) any { return s.host }, "web.inner"},
		{[]string{`IdentityFile="/a b"`}, Login{}, func(s *settings) any { return s.identityFiles }, []identityFile{{"/a b", true}, {"/from/file", true}}},
		{[]string{"ConnectTimeout=3"}, Login{}, func(s *settings) any { return s.connectTimeout }, 3 * time.Second},
		{[]string{"StrictHostKeyChecking=accept-new"}, Login{}, func(s *settings) any { return s.hostKeys }, connect.HostKeysAcceptNew},
		{[]string{"StrictHostKeyChecking=ask"}, Login{}, func(s *settings) any { return s.hostKeys }, connect.HostKeysAsk},
		{[]string{"StrictHostKeyChecking=yes"}, Login{HostKeys: connect.HostKeysAsk}, func(s *settings) any { return s.hostKeys }, connect.HostKeysStrict},
		{[]string{"StrictHostKeyChecking=yes"}, Login{HostKeys: connect.HostKeysAcceptNew}, func(s *settings) any { return s.hostKeys }, connect.HostKeysAcceptNew},
		{nil, Login{HostKeys: connect.HostKeysAsk}, func(s *settings) any { return s.hostKeys }, connect.HostKeysAsk},
		{nil, Login{}, func(s *settings) any { return s.hostKeys }, connect.HostKeysStrict},
		{[]string{"BatchMode=yes"}, Login{}, func(s *settings) any { return s.batch }, true},
		{[]string{"Ciphers=aes128-ctr"}, Login{}, func(s *settings) any { return s.ciphers }, []string{"aes128-ctr"}},
		{[]string{"IgnoreUnknown=Foo", "Foo=x", "GSSAPIAuthentication=no", "LogLevel=ERROR", "Compression=yes"}, Login{}, func(s *settings) any { return s.port }, 23},
	} {
		for config, program := range map[string]string{plain: "", asking: "ssh"} {
			s := c.method
			s.Host, s.Options = "web", c.options
			set, err := resolveWith(t, s, config, program)
			if err != nil {
				t.Errorf("%q by %q: %v, want no error", c.options, program, err)
			} else if got := c.check(set); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%q by %q: got %v, want %v", c.options, program, got, c.want)
			}
		}
	}
	s := Login{Host: "web", NoConfig: true, Options: []string{"HostName=inner", "User=u"}}
	if set, err := s.resolve(connecttest.TestContext(t), testPlaces(t)); err != nil || set.host != "inner" || set.user != "u" {
		t.Errorf("without files the options give %+v, %v; want the host inner and the user u", set, err)
	}
}

// An option that can't be honoured ends the hop before anything is opened, with its name.
func TestOptionsThatAreRefused(t *testing.T) {
	for option, names := range map[string]string{
		"NoSuchKeyword=1":                "nosuchkeyword",
		"StrictHostKeyCheking=yes":       "stricthostkeycheking",
		"Host=web":                       "host can only stand in a file",
		"Match all":                      "match can only stand in a file",
		"Include=/etc/x":                 "include can only stand in a file",
		"":                               "not Keyword=value",
		"# x":                            "not Keyword=value",
		"Port":                           "port without a value",
		"Port=":                          "port without a value",
		"Port=ten":                       "port",
		"User=a\nProxyCommand=x":         "more than one line",
		`User="a`:                        "quote",
		"StrictHostKeyChecking=perhaps":  "StrictHostKeyChecking",
		"BatchMode=perhaps":              "batchmode",
		"IdentitiesOnly=perhaps":         "identitiesonly",
		"ConnectTimeout=soon":            "connecttimeout",
		"GSSAPIAuthentication=yes":       "gssapi-with-mic",
		"LocalForward=8080 localhost:80": "LocalForward",
		"ForwardX11=yes":                 "ForwardX11",
		"Tunnel=yes":                     "Tunnel",
		"BindInterface=eth0":             "BindInterface",
		"VerifyHostKeyDNS=yes":           "VerifyHostKeyDNS",
		"PKCS11Provider=/x.so":           "PKCS11Provider",
		"Ciphers=none-of-these":          "ciphers",
		"AddressFamily=ipx":              "AddressFamily",
	} {
		s := Login{Host: "web", Options: []string{option}}
		_, err := s.resolve(connecttest.TestContext(t), testPlaces(t))
		if !errors.Is(err, connect.ErrStart) || !strings.Contains(err.Error(), names) {
			t.Errorf("option %q: error %v, want one of class %q that names %q", option, err, connect.ErrStart, names)
		}
		if _, err := (Login{Host: "web"}).WithSSHSettings(connect.SSHSettings{Options: []string{option}}); !errors.Is(err, connect.ErrStart) {
			t.Errorf("settings with the option %q were taken, %v", option, err)
		}
	}
}

// Settings of a command reach every ssh hop of a path. A hop that sets a value itself keeps it.
func TestSSHSettingsForAPath(t *testing.T) {
	set := connect.SSHSettings{User: "deploy", Port: 2222, IdentityFiles: []string{`/k "1"`}, ConfigFile: "/c", Options: []string{"BatchMode=yes"}, HostKeys: connect.HostKeysAsk}
	own := Login{Host: "b", User: "me", Port: 22, IdentityFiles: []string{"mine"}, NoConfig: true, Options: []string{"BatchMode=no"}, HostKeys: connect.HostKeysAcceptNew}
	hops, err := set.Apply([]connect.Method{Login{Host: "a"}, become.Sudo{}, own})
	if err != nil {
		t.Fatal(err)
	}
	wantOwn := own
	wantOwn.Options = []string{"BatchMode=no", "BatchMode=yes"} // the first counts
	want := []connect.Method{
		Login{Host: "a", User: "deploy", Port: 2222, ConfigFile: "/c", Options: []string{`IdentityFile="/k \"1\""`, "BatchMode=yes"}, HostKeys: connect.HostKeysAsk},
		become.Sudo{}, wantOwn,
	}
	if !reflect.DeepEqual(hops, want) {
		t.Errorf("the hops are\n%+v, want\n%+v", hops, want)
	}
	if _, err := (connect.SSHSettings{Port: 70000}).Apply([]connect.Method{Login{Host: "a"}}); !errors.Is(err, connect.ErrBadName) {
		t.Errorf("the port 70000 was taken, %v", err)
	}
	if hops, err := (connect.SSHSettings{}).Apply([]connect.Method{own}); err != nil || !reflect.DeepEqual(hops, []connect.Method{own}) {
		t.Errorf("the zero value made %+v of %+v, %v", hops, own, err)
	}
}

// A key file that is named for all hops is one word, whatever its name.
func TestIdentityFileOfSettingsIsOneWord(t *testing.T) {
	for _, name := range []string{"/a b", `/a"b`, `/a\b`, `/a\\"b`, "/a#b", "/a'b", "/a=b"} {
		m, err := Login{Host: "web"}.WithSSHSettings(connect.SSHSettings{IdentityFiles: []string{name}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, program := range []string{"", "ssh"} {
			config := "# nothing\n"
			if program != "" {
				config = "Match exec true\n  Port 22\n"
			}
			set, err := resolveWith(t, m.(Login), config, program)
			if want := []identityFile{{filepath.Clean(name), true}}; err != nil || !reflect.DeepEqual(set.identityFiles, want) {
				t.Errorf("by %q: %s became %v, %v", program, name, set, err)
			}
		}
	}
}
