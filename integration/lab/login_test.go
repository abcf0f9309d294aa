//go:build linux

package lab_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/integration/lab"
)

func run(t *testing.T, c *ssh.Client, command, stdin string) (string, error) {
	t.Helper()
	session, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	session.Stdin = strings.NewReader(stdin)
	out, err := session.CombinedOutput(command)
	return strings.TrimSpace(string(out)), err
}

func TestSSHLogin(t *testing.T) {
	lab.Require(t)
	key := lab.NewClientKey(t)
	for _, pam := range []string{"yes", "no"} {
		t.Run("UsePAM="+pam, func(t *testing.T) {
			t.Parallel()
			h := lab.Start(t, lab.Host{
				Users: []lab.User{
					{Name: "deploy", Password: "s3cret", Keys: []string{key.Authorized}},
					{Name: "gone", Password: "s3cret", Locked: true},
					{Name: "root", Password: "r00t"},
				},
				SSHD: &lab.SSHD{Config: []string{"UsePAM " + pam, "Match User deploy", "X11Forwarding no"}, KeyTypes: []string{"ed25519", "ecdsa"}},
				Env:  map[string]string{"LAB": "here it is"},
			})
			for name, auth := range map[string]ssh.AuthMethod{"key": ssh.PublicKeys(key.Signer), "password": ssh.Password("s3cret")} {
				c, err := h.DialSSH(t.Context(), "deploy", auth)
				if err != nil {
					t.Fatalf("login by %s: %v, want no error", name, err)
				}
				out, err := run(t, c, "id -un; pwd; id -u", "")
				if err != nil || out != "deploy\n/home/deploy\n2000" {
					t.Errorf("behind the login by %s: %q, %v, want deploy at home", name, out, err)
				}
				if out, _ := run(t, c, "echo $LAB", ""); pam == "yes" && out != "here it is" {
					t.Errorf("the variable LAB in a login is %q, want \"here it is\"", out)
				}
				c.Close()
			}
			c, err := h.DialSSH(t.Context(), "root", ssh.Password("r00t"))
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			for user, password := range map[string]string{"deploy": "wrong", "gone": "s3cret"} {
				if _, err := h.DialSSH(t.Context(), user, ssh.Password(password)); err == nil {
					t.Errorf("%s has logged in with the password %q, want it refused", user, password)
				}
			}
		})
	}
}

func TestDropbear(t *testing.T) {
	lab.Require(t)
	lab.RequireProgram(t, "dropbear")
	key := lab.NewClientKey(t)
	h := lab.Start(t, lab.Host{
		Users: []lab.User{{Name: "deploy", Password: "s3cret", Keys: []string{key.Authorized}}},
		SSHD:  &lab.SSHD{Dropbear: true, Port: 2222},
	})
	for name, auth := range map[string]ssh.AuthMethod{"key": ssh.PublicKeys(key.Signer), "password": ssh.Password("s3cret")} {
		c, err := h.DialSSH(t.Context(), "deploy", auth)
		if err != nil {
			t.Fatalf("login by %s: %v, want no error", name, err)
		}
		if out, err := run(t, c, "id -un", ""); err != nil || out != "deploy" {
			t.Errorf("behind the login by %s: %q, %v, want deploy", name, out, err)
		}
		c.Close()
	}
}

func TestOpenSSHClientInAnotherHost(t *testing.T) {
	lab.Require(t)
	key := lab.NewClientKey(t)
	server := lab.Start(t, lab.Host{
		Name:  "web1",
		Users: []lab.User{{Name: "deploy", Keys: []string{key.Authorized}}},
		SSHD:  &lab.SSHD{Port: 2222},
	})
	client := lab.Start(t, lab.Host{
		Name:  "master",
		Users: []lab.User{{Name: "admin"}},
		Files: map[string]string{
			"/home/admin/.ssh/id_ed25519":  key.Private,
			"/home/admin/.ssh/known_hosts": server.KnownHosts(),
			"/usr/local/bin/hello":         "#!/bin/sh\necho hello\n",
		},
	})
	for _, name := range []string{"web1", server.IP()} {
		cmd := client.CommandAs(t.Context(), "admin", "ssh", "-p2222", "-oBatchMode=yes", "deploy@"+name, "hostname; cat")
		cmd.Stdin = strings.NewReader("through and back")
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != "web1\nthrough and back" {
			t.Errorf("ssh to %s: %q, %v, want the host's name and the input", name, out, err)
		}
	}
	if out := shell(t, client, "hello"); out != "hello" {
		t.Errorf("a script from Files printed %q, want hello", out)
	}
}

func TestSudo(t *testing.T) {
	lab.Require(t)
	h := lab.Start(t, lab.Host{
		Users: []lab.User{
			{Name: "deploy", Password: "s3cret"},
			{Name: "free"}, {Name: "tty", Password: "pw"}, {Name: "nobodyspecial", Password: "pw"},
			{Name: "member", Password: "pw", Groups: []string{"sudo", "operators"}},
		},
		Sudoers: "deploy ALL=(ALL) ALL\nfree ALL=(ALL) NOPASSWD: ALL\ntty ALL=(ALL) ALL\nDefaults:tty requiretty\n",
	})
	sudo := func(user, stdin string, argv ...string) (string, error) {
		cmd := h.CommandAs(t.Context(), user, append([]string{"sudo"}, argv...)...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	for _, c := range []struct {
		user, stdin, want string
		argv              []string
		fails             bool
	}{
		{"deploy", "s3cret\n", "root", []string{"-S", "-p", "", "id", "-un"}, false},
		{"member", "pw\n", "root", []string{"-S", "-p", "", "id", "-un"}, false},
		{"free", "", "deploy", []string{"-u", "deploy", "id", "-un"}, false},
		{"deploy", "wrong\n", "incorrect", []string{"-k", "-S", "-p", "", "id", "-un"}, true},
		{"deploy", "", "a terminal is required", []string{"-k", "id", "-un"}, true},
		{"tty", "pw\n", "must have a tty", []string{"-S", "id", "-un"}, true},
		{"nobodyspecial", "pw\n", "not in the sudoers", []string{"-S", "id", "-un"}, true},
	} {
		out, err := sudo(c.user, c.stdin, c.argv...)
		if (err != nil) != c.fails || !strings.Contains(out, c.want) {
			t.Errorf("%s, sudo %v: %q, error %v, want %q in the output and an error: %v", c.user, c.argv, out, err, c.want, c.fails)
		}
	}
}

// converse answers a command's prompt on a terminal and returns all of its output. It closes
// the terminal when the command ends, or when its output has the text in again.
func converse(t *testing.T, cmd *lab.Cmd, prompt, answer, again string) (string, error) {
	t.Helper()
	pty, err := cmd.StartPty()
	if err != nil {
		t.Fatal(err)
	}
	defer pty.Close()
	pty.SetDeadline(time.Now().Add(20 * time.Second))
	var said strings.Builder
	answered := false
	buf := make([]byte, 4096)
	for {
		n, err := pty.Read(buf)
		said.Write(buf[:n])
		if !answered && strings.Contains(said.String(), prompt) {
			answered = true
			if _, err := pty.WriteString(answer + "\n"); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil || strings.Contains(said.String(), again) {
			break // the error is EIO: the last process has closed the other side
		}
	}
	pty.Close()
	return said.String(), cmd.Wait()
}

func TestPromptsOnATerminal(t *testing.T) {
	lab.Require(t)
	h := lab.Start(t, lab.Host{
		Users: []lab.User{
			{Name: "deploy", Password: "s3cret"}, {Name: "other", Password: "pw2"},
			{Name: "late", Password: "old", Expired: true},
		},
		Sudoers: "Defaults requiretty, use_pty\ndeploy ALL=(ALL) ALL",
		SSHD:    &lab.SSHD{},
	})
	for _, c := range []struct {
		argv           []string
		prompt, answer string
		want           string
	}{
		{[]string{"sudo", "-p", "PW:", "sh", "-c", "id -un; tty"}, "PW:", "s3cret", "root\r\n/dev/pts/"},
		{[]string{"su", "other", "-c", "id -un"}, "assword:", "pw2", "other\r\n"},
	} {
		out, err := converse(t, h.CommandAs(t.Context(), "deploy", c.argv...), c.prompt, c.answer, "no more")
		if err != nil || !strings.Contains(out, c.want) {
			t.Errorf("%v printed %q, %v, want %q", c.argv, out, err, c.want)
		}
	}
	out, _ := converse(t, h.CommandAs(t.Context(), "deploy", "su", "late", "-c", "id -un"), "assword:", "old", "urrent password:")
	if !strings.Contains(out, "change your password") {
		t.Errorf("su to an account whose password has expired printed %q, want a demand to change it", out)
	}
}

func TestTwentyHosts(t *testing.T) {
	lab.Require(t)
	start := time.Now()
	hosts := make([]*lab.Running, 20)
	var group sync.WaitGroup
	for i := range hosts {
		group.Go(func() {
			h, err := lab.Open(t.Context(), lab.Host{
				Name:  fmt.Sprintf("node%d", i),
				Users: []lab.User{{Name: "deploy", Password: "pw"}}, SSHD: &lab.SSHD{},
			})
			if err != nil {
				t.Error(err)
				return
			}
			hosts[i] = h
		})
	}
	group.Wait()
	t.Logf("20 hosts after %v", time.Since(start))
	for _, h := range hosts {
		if h == nil {
			t.Fatal("a host has not started, want all twenty")
		}
		t.Cleanup(func() {
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		})
		group.Go(func() {
			c, err := h.DialSSH(t.Context(), "deploy", ssh.Password("pw"))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if out, err := run(t, c, "hostname", ""); err != nil || out != h.Name() {
				t.Errorf("hostname printed %q, %v, want %s", out, err, h.Name())
			}
		})
	}
	group.Wait()
}
