package connect

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// sshPrompt recognises the questions of ssh(1), which it never translates; what
// a server makes up for keyboard-interactive is shown behind "(user@host) "
// since OpenSSH 8.4. The key of one for a password is the account that it is
// for.
func sshPrompt(line string) question {
	bare := strings.TrimSuffix(line, " ")
	switch {
	case strings.HasSuffix(bare, "continue connecting (yes/no)?"),
		strings.HasSuffix(bare, "continue connecting (yes/no/[fingerprint])?"),
		strings.HasPrefix(bare, "Please type 'yes'") && strings.HasSuffix(bare, ":"):
		return question{asks: asksHostKey, text: line, key: "host key"}
	case strings.HasPrefix(bare, "Enter passphrase for ") && strings.HasSuffix(bare, ":"):
		return question{asks: asksPassphrase, text: line, key: line}
	case strings.HasPrefix(bare, "Enter PIN for ") && strings.HasSuffix(bare, ":"):
		return question{asks: asksPassphrase, text: line, key: line, other: true} // of a token, which few wrong ones lock
	}
	if account, ok := strings.CutSuffix(bare, "'s password:"); ok && isAccount(account) {
		return question{asks: asksPassword, text: line, key: account}
	}
	if rest, ok := strings.CutPrefix(line, "("); ok {
		if account, text, ok := strings.Cut(rest, ") "); ok && isAccount(account) {
			q := accountPrompt(text)
			if q.asks == asksNothing {
				return question{asks: asksOther, text: line, key: line}
			}
			q.text, q.key, q.vague = line, account, false
			if q.other {
				q.key = line
			}
			return q
		}
	}
	if q := accountPrompt(line); !strings.Contains(line, "@") {
		// keyboard-interactive before 8.4, and of a text with several lines the last
		if q.vague = false; !q.other {
			q.key = ""
		}
		return q
	}
	return question{}
}

// isAccount reports whether s is user@host.
func isAccount(s string) bool {
	at := strings.LastIndexByte(s, '@')
	return at > 0 && at < len(s)-1 && !strings.ContainsAny(s, " \t")
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
// that says something: banners of the server come before. That the connection
// ended says less than why, which a proxy or the ssh at a jump host has said
// before. ssh's exit status is 255 for all of its own failures (ssh(1)).
func explainSSH(answers bool) func(ending) verdict {
	return func(how ending) verdict {
		if how.status.ExitCode() != 255 {
			return verdict{} // of the far side, or a signal
		}
		var ended error
		for i := len(how.said) - 1; i >= 0; i-- {
			switch class := sshSays(how.said[i]); class {
			case nil:
			case ErrEOF:
				ended = ErrEOF
			default:
				return verdict{class: sshClass(class, how, how.said[i], answers)}
			}
		}
		return verdict{class: ended}
	}
}

// sshClass refines a class by what happened before.
func sshClass(class error, how ending, line string, answers bool) error {
	switch class {
	case ErrHostKey:
		// The last line is the same for all, and those before tell them apart.
		class = ErrHostKeyUnknown
		for _, said := range how.said {
			switch {
			case strings.Contains(said, "HOST IDENTIFICATION HAS CHANGED"), strings.Contains(said, "has changed and you have requested"):
				return ErrHostKeyChanged
			case containsAny(said, "revoked", "ertificate", "DNS SPOOFING", "differs from the key"):
				class = ErrHostKey
			}
		}
	case ErrPermission:
		if strings.HasPrefix(line, "channel ") {
			return class // a jump host lets nobody go further
		}
		// A banner that does not end its last line stands before this.
		methods := line[strings.LastIndexByte(line, '(')+1:]
		takesPassword := containsAny(methods, "password", "keyboard-interactive")
		switch {
		case how.tally.passwords > 0, how.tally.other != "":
			return ErrPassword
		case how.tally.skipped:
			return fmt.Errorf("%w: a key is encrypted and there is no passphrase", ErrPasswordRequired)
		case takesPassword && !answers:
			return ErrPasswordRequired
		}
	}
	return class
}

// sshSays finds the class of one line. Regular expressions would read better
// and cost every image a third of a megabyte.
func sshSays(line string) error {
	switch {
	case strings.HasPrefix(line, "debug"):
		return nil // each address that was tried
	case strings.HasPrefix(line, "Host key verification failed."):
		return ErrHostKey
	case containsAny(line, "Permission denied (") && strings.HasSuffix(line, ")."),
		strings.HasPrefix(line, "Received disconnect from") && containsAny(line, "Too many authentication failures"):
		return ErrPermission
	case strings.HasPrefix(line, "kex_exchange_identification"), strings.HasPrefix(line, "ssh_exchange_identification"),
		strings.HasPrefix(line, "Connection closed by"), strings.HasPrefix(line, "Connection reset by"),
		strings.HasPrefix(line, "stdio forwarding failed"):
		return ErrEOF
	case strings.HasPrefix(line, "Timeout, server ") && strings.HasSuffix(line, " not responding."),
		strings.HasSuffix(line, " timed out"):
		return ErrTimeout
	case strings.HasPrefix(line, "unknown option"), strings.HasPrefix(line, "usage: ssh"),
		containsAny(line, "Bad configuration option", " bad configuration options",
			"Bad owner or permissions", "Cannot execute command-line and remote command"):
		return ErrStart
	}
	return networkMeaning(line)
}

func containsAny(s string, parts ...string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}
