package ssh

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect/internal/sshconfig"
)

// A knownHost is one line of a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE
// FORMAT). Keys stay encoded until a line matches: files of ten thousand lines
// are common, and one line that we can't read (a key type from the future, a
// merge conflict) must not take the others with it, as it doesn't in OpenSSH.
type knownHost struct {
	marker   string // "", markerAuthority or markerRevoked
	patterns string // the host field, hashed or not
	key      string // base64
	file     string
	line     int
}

const (
	markerAuthority = "@cert-authority"
	markerRevoked   = "@revoked"
)

// A knownKey is the key of a line that matched.
type knownKey struct {
	ssh.PublicKey
	file string
	line int
}

func (k knownKey) where() string { return k.file + ":" + strconv.Itoa(k.line) }

// hostRecord has the lines of the known_hosts files about one host.
type hostRecord struct {
	keys        []knownKey
	authorities []knownKey
	revoked     []knownKey
}

// knownHosts are the lines of all files, in order.
type knownHosts []knownHost

// readKnownHosts reads the files that exist. A file that exists and can't be
// read is an error: it may hold the @revoked line that matters.
func readKnownHosts(files []string) (knownHosts, error) {
	var all knownHosts
	for _, name := range files {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		lines, err := parseKnownHosts(f, name)
		f.Close()
		if err != nil {
			return nil, err
		}
		all = append(all, lines...)
	}
	return all, nil
}

// parseKnownHosts returns the lines of r that have the form of an entry.
func parseKnownHosts(r io.Reader, file string) (knownHosts, error) {
	var lines knownHosts
	scan := bufio.NewScanner(r)
	// A line has one key and a list of names. OpenSSH has no bound for it; a longer line is
	// certainly no entry.
	scan.Buffer(nil, 1<<20)
	for n := 1; scan.Scan(); n++ {
		fields := strings.Fields(scan.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		entry := knownHost{file: file, line: n}
		if strings.HasPrefix(fields[0], "@") {
			if fields[0] != markerAuthority && fields[0] != markerRevoked {
				continue
			}
			entry.marker, fields = fields[0], fields[1:]
		}
		if len(fields) < 3 {
			continue
		}
		entry.patterns, entry.key = fields[0], fields[2]
		lines = append(lines, entry)
	}
	return lines, scan.Err()
}

// lookup returns the record of a host, and apart from it that of its bare name.
//
// The name in the files is "host", or "[host]:port" if the port is not 22. As in OpenSSH, a key
// of the bare host is also valid for its other ports. But another key there only makes the host
// unknown and not changed, since another port may lead to another machine.
func (k knownHosts) lookup(host string, port int) (rec hostRecord, bare []knownKey) {
	name := knownHostName(host, port)
	rec = k.match(name)
	if port != 22 && len(rec.keys) == 0 {
		other := k.match(knownHostName(host, 22))
		bare = other.keys
		rec.revoked = append(rec.revoked, other.revoked...)
		if len(rec.authorities) == 0 {
			rec.authorities = other.authorities
		}
	}
	return rec, bare
}

func (k knownHosts) match(name string) (rec hostRecord) {
	for i := range k {
		entry := &k[i]
		if !matchHostField(entry.patterns, name) {
			continue
		}
		blob, err := base64.StdEncoding.DecodeString(entry.key)
		if err != nil {
			continue
		}
		key, err := ssh.ParsePublicKey(blob)
		if err != nil {
			continue
		}
		known := knownKey{key, entry.file, entry.line}
		switch entry.marker {
		case markerAuthority:
			rec.authorities = append(rec.authorities, known)
		case markerRevoked:
			rec.revoked = append(rec.revoked, known)
		default:
			rec.keys = append(rec.keys, known)
		}
	}
	return rec
}

// knownHostName returns a host in the form of the files.
func knownHostName(host string, port int) string {
	host = strings.ToLower(host)
	if port == 22 || port == 0 {
		return host
	}
	return "[" + host + "]:" + strconv.Itoa(port)
}

// matchHostField reports whether the host field of a line covers name.
func matchHostField(field, name string) bool {
	if rest, hashed := strings.CutPrefix(field, "|1|"); hashed {
		salt64, sum64, ok := strings.Cut(rest, "|")
		if !ok {
			return false
		}
		salt, err := base64.StdEncoding.DecodeString(salt64)
		if err != nil {
			return false
		}
		sum, err := base64.StdEncoding.DecodeString(sum64)
		if err != nil {
			return false
		}
		return hmac.Equal(sum, hashHostName(salt, name))
	}
	return sshconfig.MatchList(field, name)
}

// hashHostName returns the hash of HashKnownHosts: HMAC-SHA1, by the format of the files.
func hashHostName(salt []byte, name string) []byte {
	mac := hmac.New(sha1.New, salt)
	io.WriteString(mac, name)
	return mac.Sum(nil)
}

// knownHostLine returns the line to add for a key.
func knownHostLine(name string, key ssh.PublicKey, hashed bool) string {
	if hashed {
		salt := make([]byte, sha1.Size)
		rand.Read(salt)
		name = "|1|" + base64.StdEncoding.EncodeToString(salt) + "|" +
			base64.StdEncoding.EncodeToString(hashHostName(salt, name))
	}
	return name + " " + key.Type() + " " + encodedKey(key) + "\n"
}

// encodedKey returns a key as the files have it.
func encodedKey(key ssh.PublicKey) string { return base64.StdEncoding.EncodeToString(key.Marshal()) }

// containsKey reports whether key is among keys.
func containsKey(keys []knownKey, key ssh.PublicKey) bool {
	blob := key.Marshal()
	return slices.ContainsFunc(keys, func(k knownKey) bool { return bytes.Equal(k.Marshal(), blob) })
}

// hostKeyAlgorithms puts the algorithms of known keys first, as order_hostkeyalgs of OpenSSH does,
// so that a server with several keys shows one that can be checked. Apart from that their order
// stays: it must not depend on the order of lines which key the server shows, and whether that
// one is revoked. A certificate whose authority is not known counts as its plain key.
func (rec hostRecord) hostKeyAlgorithms(bare []knownKey, list []string) []string {
	known := map[string]bool{}
	for _, key := range slices.Concat(rec.keys, bare) {
		for _, name := range signatureAlgorithms(key.Type()) {
			known[name], known[certificateName(name)] = true, true
		}
	}
	// If a key of the best kind is known, ssh leaves the list alone.
	if len(list) == 0 || known[list[0]] {
		return list
	}
	var preferred []string
	for _, name := range list {
		if known[name] || len(rec.authorities) > 0 && strings.HasSuffix(name, "-cert-v01@openssh.com") {
			preferred = append(preferred, name)
		}
	}
	return append(preferred, without(list, preferred)...)
}
