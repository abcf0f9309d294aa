package ssh

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/pacing"
	"github.com/mitosis-go/mitosis/connect/internal/printable"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

const (
	// maxTrustQuestions bounds how often a person is asked who answers by neither yes nor no.
	maxTrustQuestions = 3
	// maxOtherNames bounds the other names of a key that a question lists.
	maxOtherNames = 8
)

// trustTurns has an element for each host that a person is asked about. Others who meet the
// same host meanwhile wait, and find its key known, or ask in their turn.
var trustTurns = pacing.Pace{Most: 1}

// askPerson asks whether to trust a key that is not known, and adds it to known_hosts if the
// answer is yes or the fingerprint.
func (v *hostVerifier) askPerson(remote net.Addr, key ssh.PublicKey) error {
	done, err := trustTurns.Wait(v.ctx, v.add+" "+v.name(), func() {})
	if err != nil {
		return contextError(v.ctx)
	}
	defer done()
	lines, err := readKnownHosts(v.files)
	if err != nil {
		return v.refuse(connect.ErrHostKey, "%v", err)
	}
	now := lines.match(v.name())
	switch {
	case containsKey(now.keys, key):
		return nil
	case len(now.keys) > 0:
		return v.changed(now.keys, key)
	}
	if v.pause != nil {
		v.pause() // the time of a person is not that of the host
	}
	text := v.question(remote, key, lines)
	for attempt := 1; attempt <= maxTrustQuestions; attempt++ {
		answer, err := tool.AskPerson(v.ctx, v.ask, connect.Prompt{Kind: connect.PromptHostKey, Path: v.label, Text: text, Attempt: attempt, Echo: true})
		if v.ctx.Err() != nil {
			return contextError(v.ctx) // an answer that comes now is too late
		}
		if err != nil {
			return v.unknown(key, fmt.Sprintf("; nobody says whether to trust it: %v", errors.Unwrap(err)))
		}
		switch answer = strings.TrimSpace(answer); {
		case strings.EqualFold(answer, "yes"), answer == ssh.FingerprintSHA256(key):
			return v.remember(key)
		case answer == "", strings.EqualFold(answer, "no"):
			return v.refuse(connect.ErrHostKeyUnknown, "its key %s was not accepted", describeKey(key))
		}
		text = "answer yes, no, or the fingerprint that the host has (SHA256:...):"
	}
	return v.refuse(connect.ErrHostKeyUnknown, "its key %s was not accepted: the answers were neither yes nor its fingerprint", describeKey(key))
}

// question says what is known of a new host, and asks.
func (v *hostVerifier) question(remote net.Addr, key ssh.PublicKey, lines knownHosts) string {
	text := "the host " + v.name() + " is not known"
	if tcp, ok := remote.(*net.TCPAddr); ok && v.direct && tcp.IP.String() != v.host {
		text = "the host " + v.name() + " at " + tcp.IP.String() + " is not known"
	}
	text += "\nits key is " + describeKey(key) + "\n"
	names := lines.namesOf(key)
	if len(names) == 0 {
		text += "the key is not known by another name\n"
	} else {
		text += "the same key is known as:\n"
		for _, name := range names[:min(len(names), maxOtherNames)] {
			text += "  " + v.of(printable.Line(name)) + "\n"
		}
		if more := len(names) - maxOtherNames; more > 0 {
			text += fmt.Sprintf("  and by %d more names\n", more)
		}
	}
	return text + "trust this key and remember it (yes/no/fingerprint)?"
}

// namesOf returns where a key is known, and for whom: "FILE:LINE: NAME".
func (k knownHosts) namesOf(key ssh.PublicKey) []string {
	encoded := encodedKey(key)
	var names []string
	for _, entry := range k {
		if entry.marker != "" || entry.key != encoded {
			continue
		}
		name := entry.patterns
		if strings.HasPrefix(name, "|1|") {
			name = "a name that is hashed"
		}
		names = append(names, knownKey{file: entry.file, line: entry.line}.where()+": "+name)
	}
	return slices.Compact(names)
}
