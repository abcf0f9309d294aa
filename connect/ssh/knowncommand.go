package ssh

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect/internal/printable"
	"github.com/mitosis-go/mitosis/connect/internal/sshconfig"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

const (
	// knownCommandTime bounds one run of a KnownHostsCommand.
	knownCommandTime = 20 * time.Second
	// maxKnownCommand bounds its output, in bytes.
	maxKnownCommand = 4 << 20
)

// commandedHosts runs the KnownHostsCommand, which prints lines of a known_hosts file. reason is
// ORDER before the key is known, and HOSTNAME afterwards. If the command fails, that is an
// error: it may have wanted to revoke the key.
func (set *settings) commandedHosts(ctx context.Context, reason, name string, key ssh.PublicKey) (knownHosts, error) {
	if set.knownHostsCommand == "" {
		return nil, nil
	}
	words, err := sshconfig.SplitWords(set.knownHostsCommand)
	if err != nil || len(words) == 0 {
		return nil, fmt.Errorf("KnownHostsCommand %q: no command", set.knownHostsCommand)
	}
	tokens := set.tokens
	tokens.Lookup = map[byte]string{'f': "NONE", 'H': name, 'I': reason, 'K': "NONE", 't': "NONE"}
	if key != nil {
		tokens.Lookup['f'], tokens.Lookup['t'] = ssh.FingerprintSHA256(key), key.Type()
		tokens.Lookup['K'] = base64.StdEncoding.EncodeToString(key.Marshal())
	}
	for i := range words {
		if words[i], err = sshconfig.ExpandVariables(words[i]); err == nil {
			words[i], err = tokens.Replace(words[i], sshconfig.FileTokens+"fHIKt")
		}
		if err != nil {
			return nil, fmt.Errorf("KnownHostsCommand: %w", err)
		}
	}

	ctx, cancel := context.WithTimeout(ctx, knownCommandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.WaitDelay = time.Second
	out, errs := &boundedBuffer{limit: maxKnownCommand}, &boundedBuffer{limit: tool.MaxLastWords}
	cmd.Stdout, cmd.Stderr = out, errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("KnownHostsCommand %s: %w %s", words[0], err, strings.TrimSpace(printable.Text(errs.String())))
	}
	if out.full {
		return nil, fmt.Errorf("KnownHostsCommand %s: %w: it printed more than %d bytes", words[0], errors.ErrUnsupported, maxKnownCommand)
	}
	return parseKnownHosts(&out.Buffer, "KnownHostsCommand "+words[0])
}

// A boundedBuffer keeps the first bytes that are written to it.
type boundedBuffer struct {
	bytes.Buffer
	limit int
	full  bool
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	room := b.limit - b.Len()
	if len(p) > room {
		b.full = true
		b.Buffer.Write(p[:room])
		return len(p), nil
	}
	return b.Buffer.Write(p)
}
