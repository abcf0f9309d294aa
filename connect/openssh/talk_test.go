package openssh

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// What ssh says in the end, word by word. Where it goes by a jump host or a proxy
// command, what these have said comes before.
func TestClassesOfWhatSSHSays(t *testing.T) {
	closed := []string{"kex_exchange_identification: Connection closed by remote host", "Connection closed by UNKNOWN port 65535"}
	for _, c := range []struct {
		said []string
		want error
	}{
		{[]string{"ssh: connect to host 10.0.0.9 port 22: Connection refused"}, connect.ErrRefused},
		{[]string{"ssh: connect to host 10.0.0.9 port 22: No route to host"}, connect.ErrUnreachable},
		{[]string{"ssh: connect to host 10.0.0.9 port 22: Network is unreachable"}, connect.ErrUnreachable},
		{[]string{"ssh: connect to host fe80::1%eth0 port 22: Cannot assign requested address"}, connect.ErrUnreachable},
		{[]string{"ssh: connect to host 10.0.0.9 port 22: Host is down"}, connect.ErrUnreachable},
		{[]string{"ssh: connect to host 10.0.0.9 port 22: Connection timed out"}, connect.ErrTimeout},
		{[]string{"ssh: connect to host 10.0.0.9 port 22: Operation timed out"}, connect.ErrTimeout},
		{[]string{"Connection timed out during banner exchange", "Connection to 10.0.0.9 port 22 timed out"}, connect.ErrTimeout},
		{[]string{"ssh: Could not resolve hostname h: Name or service not known"}, connect.ErrNoHost},
		{[]string{"ssh: Could not resolve hostname h: nodename nor servname provided, or not known"}, connect.ErrNoHost},
		{[]string{"ssh: Could not resolve hostname h: Temporary failure in name resolution"}, connect.ErrResolver},
		// The jump host's ssh, then ours.
		{append([]string{"channel 0: open failed: connect failed: Connection refused", "stdio forwarding failed"}, closed...), connect.ErrRefused},
		{append([]string{"channel 0: open failed: connect failed: No route to host", "stdio forwarding failed"}, closed...), connect.ErrUnreachable},
		{append([]string{"channel 0: open failed: connect failed: Name or service not known", "stdio forwarding failed"}, closed...), connect.ErrNoHost},
		{append([]string{"channel 0: open failed: connect failed: Connection timed out", "stdio forwarding failed"}, closed...), connect.ErrTimeout},
		{append([]string{"channel 0: open failed: connect failed: open failed", "stdio forwarding failed"}, closed...), connect.ErrUnreachable},
		{append([]string{"channel 0: open failed: administratively prohibited: open failed", "stdio forwarding failed"}, closed...), connect.ErrPermission},
		{append([]string{"ssh: Could not resolve hostname jump: Name or service not known"}, closed...), connect.ErrNoHost},
		{append([]string{"ssh: connect to host jump port 22: Connection refused"}, closed...), connect.ErrRefused},
		{append([]string{"u@jump: Permission denied (publickey)."}, closed...), connect.ErrPermission},
		{append([]string{"Host key verification failed."}, closed...), connect.ErrHostKeyUnknown},
		{[]string{"Received disconnect from 10.0.0.9 port 22:2: Too many authentication failures", "Disconnected from 10.0.0.9 port 22"}, connect.ErrPermission},
		// Proxy commands: nc of OpenBSD, ncat, socat.
		{append([]string{"nc: connect to 10.0.0.9 port 22 (tcp) failed: Connection refused"}, closed...), connect.ErrRefused},
		{append([]string{`nc: getaddrinfo for host "h" port 22: Name or service not known`}, closed...), connect.ErrNoHost},
		{append([]string{"Ncat: No route to host."}, closed...), connect.ErrUnreachable},
		{append([]string{"2026/01/02 03:04:05 socat[7] E connect(5, AF=2 10.0.0.9:22, 16): Connection timed out"}, closed...), connect.ErrTimeout},
		// The first of two addresses does not decide it.
		{[]string{"debug1: connect to address ::1 port 22: Connection refused", "Connection closed by 127.0.0.1 port 22"}, connect.ErrEOF},
		{closed, connect.ErrEOF},
	} {
		how := tool.Ending{Status: exited255(t), Said: c.said}
		if got := explain(false)(how).Class; !errors.Is(got, c.want) {
			t.Errorf("%q is %v, wanted %v", c.said, got, c.want)
		}
	}
}

// exited255 is the status of a program that ended like an ssh that failed.
func exited255(t *testing.T) *os.ProcessState {
	t.Helper()
	cmd := exec.Command("sh", "-c", "exit 255")
	_ = cmd.Run()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 255 {
		t.Fatalf("the shell ended with %v", cmd.ProcessState)
	}
	return cmd.ProcessState
}

// Whatever ssh prints, a question has a text, and any account can be looked at.
func FuzzSSHPrompts(f *testing.F) {
	for _, seed := range []string{"Password: ", "(a@b) x: ", "Enter passphrase for key 'x': ", "\xff\r\n:", "@'s password: "} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var line tool.PromptLine
		line.Feed(b)
		q := prompt(line.Text())
		if q.Asks != tool.AsksNothing && q.Text == "" {
			t.Errorf("%q asks %+v", line.Text(), q)
		}
		if q.Asks == tool.AsksPassword {
			accountMatches(q.Key, nil)
		}
	})
}
