package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect"
)

// hostVerifier judges the key of one server. Its callback runs on a goroutine
// of the handshake, again whenever keys are renegotiated, never concurrently.
type hostVerifier struct {
	// Immutable after newHostVerifier.
	ctx    context.Context
	set    *settings
	policy connect.HostKeyPolicy
	host   string // the name in known_hosts: HostKeyAlias or the host that is dialled
	port   int
	files  []string
	add    string // the file that new hosts are added to, "" for none
	hashed bool   // whether new hosts are added hashed
	lines  knownHosts
	record hostRecord
	bare   []knownKey

	// Set before the handshake.
	direct bool   // the address of the connection is the server's own
	label  string // the hop, for questions
	whose  string // the context whose files are read; "" for the master
	log    *slog.Logger
	ask    func(context.Context, connect.Prompt) (string, error) // nil if nobody can be asked
	pause  func()                                                // told before a person is asked; may be nil
	accept func()                                                // told once a key was accepted

	// Owned by the callback.
	accepted []byte // the key that was accepted on this connection

	// Written by the callback, read after the handshake.
	mu  sync.Mutex
	err error
}

func newHostVerifier(ctx context.Context, set *settings) (*hostVerifier, error) {
	v := &hostVerifier{ctx: ctx, set: set, policy: set.hostKeys, host: set.host, port: set.port, hashed: set.hashKnownHosts}
	if set.hostKeyAlias != "" {
		// An alias stands for host and port (ssh_config(5), HostKeyAlias).
		v.host, v.port = set.hostKeyAlias, 22
	}
	if v.policy == connect.InsecureIgnoreHostKeys {
		return v, nil
	}
	v.files = append(append([]string(nil), set.userKnownHosts...), set.globalKnownHosts...)
	if len(set.userKnownHosts) > 0 {
		v.add = set.userKnownHosts[0]
	}
	lines, err := readKnownHosts(v.files)
	if err != nil {
		return nil, err
	}
	more, err := set.commandedHosts(ctx, "ORDER", v.name(), nil)
	if err != nil {
		return nil, err
	}
	v.lines = lines
	v.record, v.bare = slices.Concat(lines, more).lookup(v.host, v.port)
	return v, nil
}

// name is the host's name in known_hosts.
func (v *hostVerifier) name() string { return knownHostName(v.host, v.port) }

// failure returns why the key was refused, nil if it was not.
func (v *hostVerifier) failure() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.err
}

func (v *hostVerifier) check(_ string, remote net.Addr, key ssh.PublicKey) error {
	// Renegotiation shows the key again. By then the file may have been
	// edited, but the connection has been trusted already.
	blob := key.Marshal()
	if v.accepted != nil && bytes.Equal(v.accepted, blob) {
		return nil
	}
	err := v.judge(remote, key)
	if err != nil {
		v.mu.Lock()
		v.err = err
		v.mu.Unlock()
		return err
	}
	v.accepted = blob
	if v.accept != nil {
		v.accept()
	}
	return nil
}

// judge checks in ssh's order: whether the key is revoked, which no policy overrides; whether
// its certificate is valid; whether the plain key is known.
func (v *hostVerifier) judge(remote net.Addr, key ssh.PublicKey) error {
	if err := v.checkRevoked(key); err != nil {
		return err
	}
	if v.policy == connect.InsecureIgnoreHostKeys {
		return nil
	}
	plain := key
	cert, certified := key.(*ssh.Certificate)
	if certified {
		plain = cert.Key
	}
	if err := v.set.checkRSASize(plain); err != nil {
		return v.refuse(connect.ErrHostKey, "%v", err)
	}
	if v.set.trustLoopback && v.set.hostKeyAlias == "" && v.direct && isLoopback(remote) {
		return nil
	}
	if v.set.knownHostsCommand != "" {
		more, err := v.set.commandedHosts(v.ctx, "HOSTNAME", v.name(), key)
		if err != nil {
			return v.refuse(connect.ErrHostKey, "%v", err)
		}
		v.record, v.bare = slices.Concat(v.lines, more).lookup(v.host, v.port)
	}
	if err := v.judgeAddress(remote, plain); err != nil {
		return err
	}
	if !certified {
		return v.judgeKey(remote, plain)
	}
	err := v.judgeCertificate(cert)
	if err == nil || errors.Is(err, ErrHostKeyRevoked) {
		return err
	}
	// A certificate that is not valid is no worse than none.
	plainErr := v.judgeKey(remote, plain)
	switch {
	case plainErr == nil:
		if v.log != nil {
			v.log.Debug("the host's certificate does not do, its plain key is known", "host", v.name(), "error", err)
		}
		return nil
	case errors.Is(plainErr, connect.ErrHostKeyUnknown) && len(v.record.authorities) > 0:
		return err
	}
	return plainErr
}

// judgeKey looks a plain key up.
func (v *hostVerifier) judgeKey(remote net.Addr, key ssh.PublicKey) error {
	if containsKey(v.record.revoked, key) {
		return v.refuse(ErrHostKeyRevoked, "the key %s is marked @revoked at %s", describeKey(key), v.where(v.record.revoked, key))
	}
	if containsKey(v.record.keys, key) || containsKey(v.bare, key) {
		return nil
	}
	if len(v.record.keys) > 0 {
		return v.changed(v.record.keys, key)
	}
	switch {
	case v.policy == connect.HostKeysAcceptNew:
		return v.remember(key)
	case v.policy == connect.HostKeysAsk && v.ask != nil:
		return v.askPerson(remote, key)
	}
	return v.unknown(key, v.set.dnsHint())
}

// unknown returns the error for a key that is not known and not accepted.
func (v *hostVerifier) unknown(key ssh.PublicKey, more string) error {
	return v.refuse(connect.ErrHostKeyUnknown, "its key %s is not in %s; compare the fingerprint with the host's own "+
		"(ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub there) and add it by ssh-keyscan, or have keys of new hosts accepted%s",
		describeKey(key), v.listFiles(), more)
}

// judgeAddress applies CheckHostIP: the address must not be known with another key. As in ssh,
// loopback is exempt, since forwardings lead from it to any host.
func (v *hostVerifier) judgeAddress(remote net.Addr, key ssh.PublicKey) error {
	tcp, ok := remote.(*net.TCPAddr)
	if !v.set.checkHostIP || v.set.hostKeyAlias != "" || !v.direct || !ok || tcp.IP.IsLoopback() || tcp.IP.String() == v.host {
		return nil
	}
	record := v.lines.match(knownHostName(tcp.IP.String(), v.port))
	if containsKey(record.revoked, key) {
		return v.refuse(ErrHostKeyRevoked, "the key %s is marked @revoked for its address at %s", describeKey(key), v.where(record.revoked, key))
	}
	if len(record.keys) > 0 && !containsKey(record.keys, key) {
		return v.changed(record.keys, key)
	}
	return nil
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// changed returns the error for another key than the known ones. A key of another type counts
// as well: an impostor can choose the type.
func (v *hostVerifier) changed(known []knownKey, key ssh.PublicKey) error {
	var lines []string
	for _, k := range known {
		lines = append(lines, describeKey(k)+" at "+v.of(k.where()))
	}
	return v.refuse(connect.ErrHostKeyChanged, "it shows %s, but known is %s; somebody may be in between, or the host was "+
		"installed anew: if that is so, remove the line and connect again", describeKey(key), strings.Join(lines, ", "))
}

func (v *hostVerifier) refuse(class error, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", class, v.name(), fmt.Sprintf(format, args...))
}

// remember adds the key to known_hosts. Other connections, of this and other processes, may add
// the same host at the same moment. So it reads the file again under the lock, and if another
// one was first, compares the keys instead.
func (v *hostVerifier) remember(key ssh.PublicKey) error {
	if v.add == "" {
		return v.refuse(connect.ErrHostKeyUnknown, "its key %s is new and there is no known_hosts file to add it to", describeKey(key))
	}
	if err := os.MkdirAll(filepath.Dir(v.add), 0o700); err != nil {
		return v.refuse(connect.ErrHostKeyUnknown, "its key %s can't be remembered: %v", describeKey(key), err)
	}
	f, err := os.OpenFile(v.add, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return v.refuse(connect.ErrHostKeyUnknown, "its key %s can't be remembered: %v", describeKey(key), err)
	}
	defer f.Close() // gives the lock back
	if err := lockFile(f); err != nil {
		return v.refuse(connect.ErrHostKeyUnknown, "its key %s can't be remembered: locking %s: %v", describeKey(key), v.add, err)
	}

	lines, err := parseKnownHosts(f, v.add)
	if err != nil {
		return v.refuse(connect.ErrHostKeyUnknown, "its key %s can't be remembered: %v", describeKey(key), err)
	}
	now := lines.match(v.name())
	if containsKey(now.keys, key) {
		return nil
	}
	if len(now.keys) > 0 {
		return v.changed(now.keys, key)
	}

	text := knownHostLine(v.name(), key, v.hashed)
	if end, err := f.Seek(0, io.SeekEnd); err == nil && end > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, end-1); err == nil && last[0] != '\n' {
			text = "\n" + text
		}
	}
	// One write, so that a reader without the lock sees the line or nothing.
	if _, err := f.WriteString(text); err != nil {
		return v.refuse(connect.ErrHostKeyUnknown, "its key %s can't be remembered: %v", describeKey(key), err)
	}
	return nil
}

func describeKey(key ssh.PublicKey) string {
	return key.Type() + " " + ssh.FingerprintSHA256(key)
}

// where names the file and line of a known key.
func (v *hostVerifier) where(keys []knownKey, key ssh.PublicKey) string {
	for _, k := range keys {
		if containsKey([]knownKey{k}, key) {
			return v.of(k.where())
		}
	}
	return ""
}

// of names the context on whose host a file is: a hop that another context makes uses the files
// there.
func (v *hostVerifier) of(file string) string {
	if v.whose == "" {
		return file
	}
	return file + " of " + v.whose
}

func (v *hostVerifier) listFiles() string {
	if len(v.files) == 0 {
		return v.of("any known_hosts file (none is configured)")
	}
	return v.of(strings.Join(v.files, ", "))
}
