package openssh

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
	"github.com/mitosis-go/mitosis/connect/internal/sshconfig"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// prompt recognises the questions of ssh(1), which are never translated. Since OpenSSH 8.4,
// ssh shows questions of the server's keyboard-interactive behind "(user@host) ". The key of a
// question for a password is the account.
func prompt(line string) tool.Question {
	bare := strings.TrimSuffix(line, " ")
	switch {
	case strings.HasSuffix(bare, "continue connecting (yes/no)?"),
		strings.HasSuffix(bare, "continue connecting (yes/no/[fingerprint])?"),
		strings.HasPrefix(bare, "Please type 'yes'") && strings.HasSuffix(bare, ":"):
		return tool.Question{Asks: tool.AsksHostKey, Text: line, Key: "host key"}
	case strings.HasPrefix(bare, "Enter passphrase for ") && strings.HasSuffix(bare, ":"):
		return tool.Question{Asks: tool.AsksPassphrase, Text: line, Key: line}
	case strings.HasPrefix(bare, "Enter PIN for ") && strings.HasSuffix(bare, ":"):
		return tool.Question{Asks: tool.AsksPassphrase, Text: line, Key: line, Other: true} // of a token, which few wrong ones lock
	}
	if account, ok := strings.CutSuffix(bare, "'s password:"); ok && isAccount(account) {
		return tool.Question{Asks: tool.AsksPassword, Text: line, Key: account}
	}
	if rest, ok := strings.CutPrefix(line, "("); ok {
		if account, text, ok := strings.Cut(rest, ") "); ok && isAccount(account) {
			q := tool.AccountPrompt(text)
			if q.Asks == tool.AsksNothing {
				return tool.Question{Asks: tool.AsksOther, Text: line, Key: line}
			}
			q.Text, q.Key, q.Vague = line, account, false
			if q.Other {
				q.Key = line
			}
			return q
		}
	}
	if q := tool.AccountPrompt(line); !strings.Contains(line, "@") {
		// keyboard-interactive before 8.4, and of a text with several lines the last
		if q.Vague = false; !q.Other {
			q.Key = ""
		}
		return q
	}
	return tool.Question{}
}

// isAccount reports whether s is user@host.
func isAccount(s string) bool {
	at := strings.LastIndexByte(s, '@')
	return at > 0 && at < len(s)-1 && !strings.ContainsAny(s, " \t")
}

// confirmTime bounds `ssh -G`, which may run commands and resolve names.
const confirmTime = 20 * time.Second

// confirm asks ssh itself whether a prompt is about the host of this Login. The prompt of a
// jump host looks the same, but must not get the password of the host.
func confirm(o Login, options []string) func(context.Context, tool.Question) tool.Question {
	return func(ctx context.Context, q tool.Question) tool.Question {
		if q.Asks != tool.AsksPassword {
			return q
		}
		ctx, cancel := context.WithTimeout(ctx, confirmTime)
		defer cancel()
		args := append(append([]string{"-G"}, options...), "--", o.Host)
		cmd := exec.CommandContext(ctx, o.program(), args...)
		cmd.WaitDelay = time.Second
		out, err := cmd.Output()
		if err == nil && accountMatches(q.Key, sshconfig.ParseAnswer(string(out))) {
			return q
		}
		q.Asks = tool.AsksOther
		return q
	}
}

// accountMatches compares the account in a prompt with the settings that
// `ssh -G` printed. ssh shows 30 bytes of the user and 128 of the host
// (sshconnect2.c, userauth_passwd).
func accountMatches(account string, settings map[string][]string) bool {
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

// explain finds the class of a failure in the output of ssh: in the last line that tells a
// class, since banners of the server come before. A line that only says that the connection
// ended counts least: a proxy or the ssh of a jump host has said why. ssh's exit status is
// 255 for all of its own failures (ssh(1)).
func explain(answers bool) func(tool.Ending) failure.Verdict {
	return func(how tool.Ending) failure.Verdict {
		if how.Status.ExitCode() != 255 {
			return failure.Verdict{} // of the far side, or a signal
		}
		for _, line := range how.Said {
			if failure.Expired(line) && (how.Tally.Passwords > 0 || how.Tally.Other != "") {
				return failure.Verdict{Class: connect.ErrPermission, Hint: failure.ExpiredHint}
			}
		}
		var ended error
		for i := len(how.Said) - 1; i >= 0; i-- {
			switch class := sshSays(how.Said[i]); class {
			case nil:
			case connect.ErrEOF:
				ended = connect.ErrEOF
			default:
				return failure.Verdict{Class: sshClass(class, how, how.Said[i], answers), Hint: sshHint(class, how.Said[i])}
			}
		}
		return failure.Verdict{Class: ended}
	}
}

// sshClass refines the class of a line by the lines and answers before it.
func sshClass(class error, how tool.Ending, line string, answers bool) error {
	switch class {
	case connect.ErrHostKey:
		// The last line is the same for all, and those before tell them apart.
		class = connect.ErrHostKeyUnknown
		for _, said := range how.Said {
			switch {
			case strings.Contains(said, "HOST IDENTIFICATION HAS CHANGED"), strings.Contains(said, "has changed and you have requested"):
				return connect.ErrHostKeyChanged
			case tool.ContainsAny(said, "revoked", "ertificate", "DNS SPOOFING", "differs from the key"):
				class = connect.ErrHostKey
			}
		}
	case connect.ErrPermission:
		if strings.HasPrefix(line, "channel ") {
			return class // a jump host does not forward
		}
		// A banner without a line feed at its end may stand before this.
		methods := line[strings.LastIndexByte(line, '(')+1:]
		takesPassword := tool.ContainsAny(methods, "password", "keyboard-interactive")
		switch {
		case how.Tally.Passwords > 0, how.Tally.Other != "":
			return connect.ErrPassword
		case how.Tally.Skipped:
			return fmt.Errorf("%w: a key is encrypted and there is no passphrase", connect.ErrPasswordRequired)
		case takesPassword && !answers:
			return connect.ErrPasswordRequired
		}
	}
	return class
}

// sshHint names the way around a jump host that does not forward.
func sshHint(class error, line string) string {
	if class == connect.ErrPermission && strings.HasPrefix(line, "channel ") {
		return "where a jump host forwards nothing (AllowTcpForwarding), a context on it can make the hop: openssh:JUMP/openssh:HOST"
	}
	return ""
}

// sshSays finds the class of one line. Regular expressions would read better
// and cost every image a third of a megabyte.
func sshSays(line string) error {
	switch {
	case strings.HasPrefix(line, "debug"):
		return nil // each address that was tried
	case strings.HasPrefix(line, "Host key verification failed."):
		return connect.ErrHostKey
	case tool.ContainsAny(line, "Permission denied (") && strings.HasSuffix(line, ")."),
		strings.HasPrefix(line, "Received disconnect from") && tool.ContainsAny(line, "Too many authentication failures"):
		return connect.ErrPermission
	case strings.HasPrefix(line, "kex_exchange_identification"), strings.HasPrefix(line, "ssh_exchange_identification"),
		strings.HasPrefix(line, "Connection closed by"), strings.HasPrefix(line, "Connection reset by"),
		strings.HasPrefix(line, "stdio forwarding failed"):
		return connect.ErrEOF
	case strings.HasPrefix(line, "Timeout, server ") && strings.HasSuffix(line, " not responding."),
		strings.HasSuffix(line, " timed out"):
		return connect.ErrTimeout
	case strings.HasPrefix(line, "unknown option"), strings.HasPrefix(line, "usage: ssh"), strings.HasPrefix(line, "command-line line "),
		tool.ContainsAny(line, "Bad configuration option", " bad configuration options",
			"Bad owner or permissions", "Cannot execute command-line and remote command"):
		return connect.ErrStart
	}
	return failure.Network(line)
}
