package ssh

import (
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect/internal/sshconfig"
)

// DSA of 1,024 bits is too short for anybody; only a configuration that names it gets it.
const (
	dsa            = "ssh-dss"
	dsaCertificate = "ssh-dss-cert-v01@openssh.com"
)

// algorithmNames are the algorithms of one kind, as lists with commas in between.
//
// usual is the default offer: the algorithms of OpenSSH's that x/crypto/ssh has, in the same
// order. Only AES-GCM comes before ChaCha20, for which Go has no vector code on most
// processors.
//
// onRequest are algorithms that OpenSSH has dropped from its defaults. They are only offered
// if the configuration or the program names them.
//
// others are those of OpenSSH that x/crypto/ssh does not have.
type algorithmNames struct{ usual, onRequest, others string }

const (
	plainSignatures = ssh.KeyAlgoED25519 + "," + ssh.KeyAlgoECDSA256 + "," + ssh.KeyAlgoECDSA384 + "," + ssh.KeyAlgoECDSA521 + "," +
		ssh.KeyAlgoSKED25519 + "," + ssh.KeyAlgoSKECDSA256 + "," + ssh.KeyAlgoRSASHA512 + "," + ssh.KeyAlgoRSASHA256 + "," +
		ssh.KeyAlgoMLDSA44 + "," + ssh.KeyAlgoMLDSA65 + "," + ssh.KeyAlgoMLDSA87
	hostCertificates = ssh.CertAlgoED25519v01 + "," + ssh.CertAlgoECDSA256v01 + "," + ssh.CertAlgoECDSA384v01 + "," +
		ssh.CertAlgoECDSA521v01 + "," + ssh.CertAlgoRSASHA512v01 + "," + ssh.CertAlgoRSASHA256v01
	otherKeys        = "webauthn-sk-ecdsa-sha2-nistp256@openssh.com,webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com"
	userCertificates = hostCertificates + "," + ssh.CertAlgoSKED25519v01 + "," + ssh.CertAlgoSKECDSA256v01
)

var (
	kexNames = algorithmNames{
		usual: ssh.KeyExchangeMLKEM768X25519 + "," + ssh.KeyExchangeCurve25519 + "," + ssh.KeyExchangeECDHP256 + "," +
			ssh.KeyExchangeECDHP384 + "," + ssh.KeyExchangeECDHP521 + "," + ssh.KeyExchangeDHGEXSHA256 + "," +
			ssh.KeyExchangeDH16SHA512 + "," + ssh.KeyExchangeDH14SHA256,
		onRequest: ssh.InsecureKeyExchangeDH14SHA1 + "," + ssh.InsecureKeyExchangeDHGEXSHA1 + "," + ssh.InsecureKeyExchangeDH1SHA1,
		others:    "curve25519-sha256@libssh.org,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,diffie-hellman-group18-sha512",
	}
	cipherNames = algorithmNames{
		usual: ssh.CipherAES128GCM + "," + ssh.CipherAES256GCM + "," + ssh.CipherChaCha20Poly1305 + "," +
			ssh.CipherAES128CTR + "," + ssh.CipherAES192CTR + "," + ssh.CipherAES256CTR,
		onRequest: ssh.InsecureCipherAES128CBC + "," + ssh.InsecureCipherTripleDESCBC + "," + ssh.InsecureCipherRC4256 + "," +
			ssh.InsecureCipherRC4128 + "," + ssh.InsecureCipherRC4,
		others: "aes192-cbc,aes256-cbc,rijndael-cbc@lysator.liu.se",
	}
	macNames = algorithmNames{
		usual:     ssh.HMACSHA256ETM + "," + ssh.HMACSHA512ETM + "," + ssh.HMACSHA256 + "," + ssh.HMACSHA512 + "," + ssh.HMACSHA1,
		onRequest: ssh.InsecureHMACSHA196,
		others: "hmac-md5,hmac-md5-96,umac-64@openssh.com,umac-128@openssh.com,hmac-sha1-etm@openssh.com,hmac-sha1-96-etm@openssh.com," +
			"hmac-md5-etm@openssh.com,hmac-md5-96-etm@openssh.com,umac-64-etm@openssh.com,umac-128-etm@openssh.com",
	}
	hostKeyNames = algorithmNames{
		usual:     hostCertificates + "," + plainSignatures,
		onRequest: ssh.KeyAlgoRSA + "," + dsa + "," + ssh.CertAlgoRSAv01 + "," + dsaCertificate,
		others:    otherKeys + "," + ssh.CertAlgoSKED25519v01 + "," + ssh.CertAlgoSKECDSA256v01,
	}
	// signatureNames are those by which an authority may sign a host's certificate.
	signatureNames = algorithmNames{plainSignatures, ssh.KeyAlgoRSA + "," + dsa, otherKeys}
	// userKeyNames are those of our keys; a certificate has names of its own.
	userKeyNames = algorithmNames{
		usual:     userCertificates + "," + plainSignatures,
		onRequest: ssh.CertAlgoRSAv01 + "," + dsaCertificate + "," + ssh.KeyAlgoRSA + "," + dsa,
		others:    otherKeys,
	}
)

// defaults returns the usual algorithms, in order.
func (a algorithmNames) defaults() []string { return strings.Split(a.usual, ",") }

// choose reads a list of the configuration: names and wildcards in order. Behind a +, - or ^
// they are added to the usual ones, removed from them, or put in front of them. It ignores
// names that this client does not have.
func (a algorithmNames) choose(list string) ([]string, error) {
	patterns := strings.TrimLeft(list, "+-^")
	var named []string
	for _, pattern := range strings.Split(patterns, ",") {
		for _, name := range strings.Split(a.usual+","+a.onRequest, ",") {
			if sshconfig.MatchWildcard(strings.TrimSpace(pattern), name) && !slices.Contains(named, name) {
				named = append(named, name)
			}
		}
	}
	usual := a.defaults()
	var chosen []string
	switch {
	case patterns == list:
		chosen = named
	case list[0] == '+':
		chosen = append(usual, without(named, usual)...)
	case list[0] == '-':
		chosen = without(usual, named)
	default:
		chosen = append(named, without(usual, named)...)
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("this client has none of %q; it has %s,%s. An openssh hop has what ssh has", list, a.usual, a.onRequest)
	}
	return chosen, nil
}

// check returns an error for a name in a list that neither this client nor OpenSSH has, as ssh does.
// A name behind a - takes nothing away then, which is no harm.
func (a algorithmNames) check(list string) error {
	if strings.HasPrefix(list, "-") {
		return nil
	}
	all := strings.Split(a.usual+","+a.onRequest+","+a.others, ",")
	for name := range strings.SplitSeq(strings.TrimLeft(list, "+^"), ",") {
		if !slices.ContainsFunc(all, func(known string) bool { return sshconfig.MatchWildcard(strings.TrimSpace(name), known) }) {
			return fmt.Errorf("there is no algorithm %q", name)
		}
	}
	return nil
}

// without returns the names that are not among others.
func without(names, others []string) (rest []string) {
	for _, name := range names {
		if !slices.Contains(others, name) {
			rest = append(rest, name)
		}
	}
	return rest
}

// signatureAlgorithms returns the algorithms by which a key of a type can sign, the best first.
func signatureAlgorithms(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA}
	}
	return []string{keyType}
}

// certificateName returns the name of an algorithm for certificates.
func certificateName(algorithm string) string {
	base, _ := strings.CutSuffix(algorithm, "@openssh.com")
	return base + "-cert-v01@openssh.com"
}

// checkRSASize applies RequiredRSASize, to the server's key and to the user's.
func (p *policy) checkRSASize(key ssh.PublicKey) error {
	crypto, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return nil
	}
	public, ok := crypto.CryptoPublicKey().(*rsa.PublicKey)
	if !ok {
		return nil
	}
	if bits, least := public.N.BitLen(), max(p.rsaBits, minRSABits); bits < least {
		return fmt.Errorf("its RSA key has %d bits, fewer than the %d of RequiredRSASize", bits, least)
	}
	return nil
}

// offers returns the host key algorithms that are offered to a server.
func (p *policy) offers(rec hostRecord, bare []knownKey) []string {
	switch {
	case p.hostKeyAlgorithms == nil:
		return rec.hostKeyAlgorithms(bare, hostKeyNames.defaults())
	case p.hostKeysAsListed:
		return p.hostKeyAlgorithms
	}
	return rec.hostKeyAlgorithms(bare, p.hostKeyAlgorithms)
}
