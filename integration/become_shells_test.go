//go:build linux

package integration

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// becomeShells are login shells of the users that su, sudo and doas become. Some of them close
// inherited descriptors above 2.
var becomeShells = []string{
	"/bin/bash", "/bin/dash", "/bin/zsh", "/bin/tcsh", "/bin/bsd-csh", "/usr/bin/fish", "/bin/ksh93", "/bin/mksh",
	"/bin/yash", "/bin/posh", "/usr/bin/rc", "/usr/bin/elvish", "/usr/local/bin/our-shell",
}

// firstShellUID is the UID of the first of these users. becomeHost has four others.
const firstShellUID = 2004

// su, sudo and doas connect, whatever the login shell of the user is that they become.
func TestBecomeByEveryShell(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	h := becomeHost("permit deploy\n")
	h.Sudoers = "deploy ALL=(ALL) ALL"
	h.Setup = append(h.Setup, "ln -s /bin/tcsh /usr/local/bin/our-shell")
	for _, shell := range becomeShells {
		h.Users = append(h.Users, lab.User{Name: "by-" + filepath.Base(shell), Shell: shell, Password: rightPassword})
	}
	host := start(t, h)
	user := enter(t, master(t, &contexts.Config{}), host, "deploy")
	password := connect.Secret(rightPassword)
	for i, shell := range becomeShells {
		name := "by-" + filepath.Base(shell)
		for how, m := range map[string]connect.Method{
			"su":          become.Su{User: name, Password: password},
			"su, login":   become.Su{User: name, Password: password, Login: true},
			"sudo":        become.Sudo{User: name, Password: password},
			"sudo, login": become.Sudo{User: name, Password: password, Login: true},
			"doas":        become.Doas{User: name, Password: password},
		} {
			if testing.Short() && how != "su" {
				continue
			}
			if how == "sudo, login" && (shell == "/usr/bin/rc" || shell == "/usr/bin/elvish") {
				continue // sudo -i quotes by backslashes, which these shells read in their own way
			}
			t.Run(how+" "+shell, func(t *testing.T) {
				n := child(t, user, m)
				if id := who(t, n); id.UID != firstShellUID+i {
					t.Errorf("the context is %+v, want uid %d", id, firstShellUID+i)
				}
				linkIsClean(t, n)
				// Every byte passes, and so do many of them.
				all := bytes.Repeat([]byte("\x00\x03\x04\r\n\x11\x13\x1a\x1c\x7f\xff"), 40_000)
				if back, err := echo.Call(t.Context(), n, all); err != nil || !bytes.Equal(back, all) {
					t.Errorf("%d bytes came back, error %v, want the %d that were sent", len(back), err, len(all))
				}
				if err := n.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// Every hop works on a host whose /bin/sh, and whose users' login shell, is another shell. It
// works with interpreters, and also without them, where the shell makes the start alone.
func TestHostsWithAnotherSystemShell(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	for _, shell := range []string{"/bin/bash", "/bin/bash-static", "/bin/busybox", "/bin/zsh", "/bin/ksh93", "/bin/mksh", "/bin/lksh", "/bin/yash", "/bin/posh"} {
		for _, remove := range [][]string{nil, noInterpreter} {
			if testing.Short() && (remove == nil || shell != "/bin/ksh93" && shell != "/bin/mksh" && shell != "/bin/busybox") {
				continue
			}
			t.Run(fmt.Sprint(shell, remove), func(t *testing.T) {
				t.Parallel()
				loginShell := shell
				if shell == "/bin/busybox" {
					loginShell = "/usr/local/bin/ash"
				}
				h := becomeHost("permit deploy\n")
				h.Remove = remove
				h.Sudoers = "deploy ALL=(ALL) ALL"
				h.SSHD = &lab.SSHD{}
				key := lab.NewClientKey(t)
				h.Users[0] = lab.User{Name: "deploy", Password: rightPassword, Shell: loginShell, Keys: []string{key.Authorized}}
				h.Users[1] = lab.User{Name: "carol", Password: rightPassword, Shell: loginShell}
				for _, csh := range []string{"tcsh", "bsd-csh"} { // which close the descriptors of the link
					h.Users = append(h.Users, lab.User{Name: csh, Password: rightPassword, Shell: "/bin/" + csh})
				}
				h.Setup = append(h.Setup, "ln -s $(command -v busybox) /usr/local/bin/ash; ln -sf "+shell+" /bin/sh")
				host := start(t, h)
				before := look(host)
				m := master(t, &contexts.Config{})
				user := login(t, m, host, "deploy", key)
				for _, method := range []connect.Method{
					become.Sudo{Password: connect.Secret(rightPassword)},
					become.Sudo{User: "carol", Password: connect.Secret(rightPassword), Login: true},
					become.Su{User: "carol", Password: connect.Secret(rightPassword), Login: true},
					become.Su{User: "tcsh", Password: connect.Secret(rightPassword)},
					become.Su{User: "bsd-csh", Password: connect.Secret(rightPassword), Login: true},
					become.Doas{Password: connect.Secret(rightPassword)},
				} {
					n := child(t, user, method)
					linkIsClean(t, n)
					if err := n.Close(); err != nil {
						t.Error(err)
					}
				}
				if err := user.Close(); err != nil {
					t.Error(err)
				}
				before.restored(t, patience)
			})
		}
	}
}
