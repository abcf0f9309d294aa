package connect

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// HostKeyPolicy says what to do with a server whose key is not known.
type HostKeyPolicy uint8

// The policies. The numbers travel; append only.
const (
	// HostKeysStrict refuses a host that is not in known_hosts. The
	// configuration's StrictHostKeyChecking=accept-new or no still counts.
	HostKeysStrict HostKeyPolicy = iota
	// HostKeysAcceptNew adds a host that was never seen to the first
	// known_hosts file, and refuses one whose key has changed.
	HostKeysAcceptNew
	// InsecureIgnoreHostKeys accepts every key and remembers none. Whoever
	// sits in between can then read and change all that passes.
	InsecureIgnoreHostKeys
)

// hostVerifier judges the key of one server. Its callback runs on a goroutine
// of the handshake, again whenever keys are renegotiated, never concurrently.
type hostVerifier struct {
	// Immutable.
	policy HostKeyPolicy
	host   string // the name in known_hosts: HostKeyAlias or the host that is dialled
	port   int
	files  []string
	add    string // the file that new hosts are added to, "" for none
	hashed bool   // whether new hosts are added hashed
	record hostRecord
	bare   []knownKey
	accept func() // told once a key was accepted

	// Owned by the callback.
	accepted []byte // the key that was accepted on this connection

	// Written by the callback, read after the handshake.
	mu  sync.Mutex
	err error
}

func newHostVerifier(set *sshSettings) (*hostVerifier, error) {
	v := &hostVerifier{policy: set.hostKeys, host: set.host, port: set.port, hashed: set.hashKnownHosts}
	if set.hostKeyAlias != "" {
		// An alias stands for host and port (ssh_config(5), HostKeyAlias).
		v.host, v.port = set.hostKeyAlias, 22
	}
	if v.policy == InsecureIgnoreHostKeys {
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
	v.record, v.bare = lines.lookup(v.host, v.port)
	return v, nil
}

// failure is why the key was refused, nil if it was not.
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

func (v *hostVerifier) judge(remote net.Addr, key ssh.PublicKey) error {
	if v.policy == InsecureIgnoreHostKeys {
		return nil
	}
	if cert, ok := key.(*ssh.Certificate); ok {
		return v.judgeCertificate(remote, cert)
	}
	if containsKey(v.record.revoked, key) {
		return v.refuse(ErrHostKeyChanged, "the key %s is marked @revoked at %s", describeKey(key), whereKey(v.record.revoked, key))
	}
	if containsKey(v.record.keys, key) || containsKey(v.bare, key) {
		return nil
	}
	if len(v.record.keys) > 0 {
		return v.changed(v.record.keys, key)
	}
	if v.policy == HostKeysAcceptNew {
		return v.remember(key)
	}
	return v.refuse(ErrHostKeyUnknown, "its key %s is not in %s; compare the fingerprint with the host's own "+
		"(ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub there) and add it by ssh-keyscan, or use HostKeysAcceptNew",
		describeKey(key), listFiles(v.files))
}

func (v *hostVerifier) judgeCertificate(remote net.Addr, cert *ssh.Certificate) error {
	checker := ssh.CertChecker{
		IsHostAuthority: func(auth ssh.PublicKey, _ string) bool { return containsKey(v.record.authorities, auth) },
		IsRevoked: func(c *ssh.Certificate) bool {
			return containsKey(v.record.revoked, c.Key) || containsKey(v.record.revoked, c.SignatureKey)
		},
	}
	if err := checker.CheckHostKey(hostPort(v.host, v.port), remote, cert); err != nil {
		if !containsKey(v.record.authorities, cert.SignatureKey) {
			return v.refuse(ErrHostKeyUnknown, "its certificate is signed by %s, which is no @cert-authority for it in %s",
				describeKey(cert.SignatureKey), listFiles(v.files))
		}
		return v.refuse(ErrHostKeyChanged, "its certificate %q is not valid: %v", cert.KeyId, err)
	}
	return nil
}

// changed is also the verdict on a key of another type than those that are known:
// whoever impersonates a host can choose the type.
func (v *hostVerifier) changed(known []knownKey, key ssh.PublicKey) error {
	var lines []string
	for _, k := range known {
		lines = append(lines, describeKey(k)+" at "+k.where())
	}
	return v.refuse(ErrHostKeyChanged, "it shows %s, but known is %s; somebody may be in between, or the host was "+
		"installed anew: if that is so, remove the line and connect again", describeKey(key), strings.Join(lines, ", "))
}

func (v *hostVerifier) refuse(class error, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", class, knownHostName(v.host, v.port), fmt.Sprintf(format, args...))
}

// remember adds the key to known_hosts. Other connections, of this process and
// of others, may be adding the same host at the same moment: under the lock the
// file is read again, and whoever comes second compares instead of adding.
func (v *hostVerifier) remember(key ssh.PublicKey) error {
	if v.add == "" {
		return v.refuse(ErrHostKeyUnknown, "its key %s is new and there is no known_hosts file to add it to", describeKey(key))
	}
	if err := os.MkdirAll(filepath.Dir(v.add), 0o700); err != nil {
		return v.refuse(ErrHostKeyUnknown, "its key %s can't be remembered: %v", describeKey(key), err)
	}
	f, err := os.OpenFile(v.add, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return v.refuse(ErrHostKeyUnknown, "its key %s can't be remembered: %v", describeKey(key), err)
	}
	defer f.Close() // gives the lock back
	if err := lockFile(f); err != nil {
		return v.refuse(ErrHostKeyUnknown, "its key %s can't be remembered: locking %s: %v", describeKey(key), v.add, err)
	}

	lines, err := parseKnownHosts(f, v.add)
	if err != nil {
		return v.refuse(ErrHostKeyUnknown, "its key %s can't be remembered: %v", describeKey(key), err)
	}
	now := lines.match(knownHostName(v.host, v.port))
	if containsKey(now.keys, key) {
		return nil
	}
	if len(now.keys) > 0 {
		return v.changed(now.keys, key)
	}

	text := knownHostLine(knownHostName(v.host, v.port), key, v.hashed)
	if end, err := f.Seek(0, io.SeekEnd); err == nil && end > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, end-1); err == nil && last[0] != '\n' {
			text = "\n" + text
		}
	}
	// One write, so that a reader without the lock sees the line or nothing.
	if _, err := f.WriteString(text); err != nil {
		return v.refuse(ErrHostKeyUnknown, "its key %s can't be remembered: %v", describeKey(key), err)
	}
	return nil
}

func describeKey(key ssh.PublicKey) string {
	return key.Type() + " " + ssh.FingerprintSHA256(key)
}

func whereKey(keys []knownKey, key ssh.PublicKey) string {
	for _, k := range keys {
		if containsKey([]knownKey{k}, key) {
			return k.where()
		}
	}
	return ""
}

func listFiles(files []string) string {
	if len(files) == 0 {
		return "any known_hosts file (none is configured)"
	}
	return strings.Join(files, ", ")
}
