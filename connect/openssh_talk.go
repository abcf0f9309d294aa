package connect

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// The prompts of ssh(1), which it never translates; what a server makes up for
// keyboard-interactive is shown behind "(user@host) " since OpenSSH 8.4.
var (
	sshPassword    = regexp.MustCompile(`^(\S+@\S+)'s password: ?$`)
	sshInteractive = regexp.MustCompile(`^\((\S+@\S+)\) (.*)$`)
	sshPassphrase  = regexp.MustCompile(`^Enter passphrase for (key )?['"].*['"]: ?$`)
	sshHostKey     = regexp.MustCompile(`(continue connecting \(yes/no(/\[fingerprint\])?\)\? ?|^Please type 'yes'.*: ?)$`)
)

// sshPrompt recognises ssh's questions. The key of one for a password is the
// account that it is for.
func sshPrompt(line string) question {
	switch {
	case sshHostKey.MatchString(line):
		return question{asksHostKey, line, "host key"}
	case sshPassphrase.MatchString(line):
		return question{asksPassphrase, line, line}
	}
	if m := sshPassword.FindStringSubmatch(line); m != nil {
		return question{asksPassword, line, m[1]}
	}
	if m := sshInteractive.FindStringSubmatch(line); m != nil {
		if passwordPrompt(m[2]) {
			return question{asksPassword, line, m[1]}
		}
		return question{asksOther, line, line}
	}
	if passwordPrompt(line) && !strings.Contains(line, "@") {
		return question{asksPassword, line, ""} // keyboard-interactive before 8.4
	}
	return question{}
}

// sshConfirmTime bounds `ssh -G`, which may run commands and resolve names.
const sshConfirmTime = 20 * time.Second

// sshConfirm finds out, by asking ssh itself, whether a prompt is that of the
// host that was meant: a jump host's looks the same, and has no business with
// the password of another.
func sshConfirm(o OpenSSH, options []string) func(context.Context, question) question {
	return func(ctx context.Context, q question) question {
		if q.asks != asksPassword {
			return q
		}
		ctx, cancel := context.WithTimeout(ctx, sshConfirmTime)
		defer cancel()
		args := append(append([]string{"-G"}, options...), "--", o.Host)
		cmd := exec.CommandContext(ctx, o.program(), args...)
		cmd.WaitDelay = time.Second
		out, err := cmd.Output()
		if err == nil && sshAccountMatches(q.key, parseAnswer(string(out))) {
			return q
		}
		q.asks = asksOther
		return q
	}
}

// sshAccountMatches compares the account in a prompt with the settings that
// `ssh -G` printed. ssh shows 30 bytes of the user and 128 of the host
// (sshconnect2.c, userauth_passwd).
func sshAccountMatches(account string, settings map[string][]string) bool {
	value := func(keyword string) string {
		if v := settings[keyword]; len(v) > 0 && v[0] != "none" {
			return v[0]
		}
		return ""
	}
	if account == "" {
		return value("proxyjump") == "" && value("proxycommand") == ""
	}
	at := strings.LastIndexByte(account, '@')
	user, host := account[:at], account[at+1:]
	if !shownAs(value("user"), user, 30) {
		return false
	}
	for _, keyword := range []string{"hostkeyalias", "hostname", "host"} {
		if name := value(keyword); name != "" && shownAs(strings.ToLower(name), strings.ToLower(host), 128) {
			return true
		}
	}
	return false
}

func shownAs(name, shown string, width int) bool {
	return name == shown || len(name) > width && name[:width] == shown
}

// explainSSH finds the class of a failure in what ssh said, in the last line
// that says something: banners of the server come before. ssh's exit status is
// 255 for all of its own failures (ssh(1)).
func explainSSH(answers bool) func(ending) error {
	return func(how ending) error {
		if how.status.ExitCode() != 255 {
			return nil // of the far side, or a signal
		}
		for i := len(how.said) - 1; i >= 0; i-- {
			for _, c := range sshSays {
				if c.text.MatchString(how.said[i]) {
					return sshClass(c.err, how, how.said[i], answers)
				}
			}
		}
		return nil
	}
}

// sshClass refines a class by what happened before.
func sshClass(class error, how ending, line string, answers bool) error {
	switch class {
	case ErrHostKey:
		// The last line is the same for all; the one before tells them apart.
		for _, said := range how.said {
			switch {
			case strings.Contains(said, "HOST IDENTIFICATION HAS CHANGED"), strings.Contains(said, "has changed and you have requested"):
				return ErrHostKeyChanged
			case sshUnknownKey.MatchString(said):
				class = ErrHostKeyUnknown
			}
		}
	case ErrPermission:
		takesPassword := strings.Contains(line, "password") || strings.Contains(line, "keyboard-interactive")
		switch {
		case how.tally.passwords > 0:
			return ErrPassword
		case how.tally.skipped:
			return fmt.Errorf("%w: a key is encrypted and there is no passphrase", ErrPasswordRequired)
		case takesPassword && !answers:
			return ErrPasswordRequired
		}
	}
	return class
}

var sshUnknownKey = regexp.MustCompile(`host key is known for|authenticity of host|No matching host key fingerprint`)

var sshSays = []struct {
	text *regexp.Regexp
	err  error
}{
	{regexp.MustCompile(`^Host key verification failed\.`), ErrHostKey},
	{regexp.MustCompile(`^(\S+: )?Permission denied \(.*\)\.$`), ErrPermission},
	{regexp.MustCompile(`^Received disconnect from .*Too many authentication failures`), ErrPermission},
	{regexp.MustCompile(`: Connection refused$|^connect_to .*refused`), ErrRefused},
	{regexp.MustCompile(`^(Timeout, server .* not responding|.*(Connection|Operation) timed out|Connection to .* timed out|.* timed out$)`), ErrTimeout},
	{regexp.MustCompile(`Could not resolve host|No route to host$|Network is unreachable$|Bad configuration option|terminating, \d+ bad configuration options|` +
		`Bad owner or permissions|^unknown option|^usage: ssh|Cannot execute command-line and remote command`), ErrStart},
	{regexp.MustCompile(`^kex_exchange_identification|^Connection (closed|reset) by|^ssh_exchange_identification`), ErrEOF},
}
