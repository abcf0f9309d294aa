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
// usual is offered where nobody says otherwise: what OpenSSH offers, in its order,
// as far as x/crypto/ssh has it. The order differs where it would cost: AES-GCM
// comes before ChaCha20, which Go has no vector code for on most processors.
//
// onRequest is what OpenSSH has dropped from its defaults. A server that has nothing
// better is refused, unless the configuration or the program names it.
type algorithmNames struct{ usual, onRequest string }

const (
	plainSignatures = ssh.KeyAlgoED25519 + "," + ssh.KeyAlgoECDSA256 + "," + ssh.KeyAlgoECDSA384 + "," + ssh.KeyAlgoECDSA521 + "," +
		ssh.KeyAlgoSKED25519 + "," + ssh.KeyAlgoSKECDSA256 + "," + ssh.KeyAlgoRSASHA512 + "," + ssh.KeyAlgoRSASHA256 + "," +
		ssh.KeyAlgoMLDSA44 + "," + ssh.KeyAlgoMLDSA65 + "," + ssh.KeyAlgoMLDSA87
	hostCertificates = ssh.CertAlgoED25519v01 + "," + ssh.CertAlgoECDSA256v01 + "," + ssh.CertAlgoECDSA384v01 + "," +
		ssh.CertAlgoECDSA521v01 + "," + ssh.CertAlgoRSASHA512v01 + "," + ssh.CertAlgoRSASHA256v01
	userCertificates = hostCertificates + "," + ssh.CertAlgoSKED25519v01 + "," + ssh.CertAlgoSKECDSA256v01
)

var (
	kexNames = algorithmNames{
		usual: ssh.KeyExchangeMLKEM768X25519 + "," + ssh.KeyExchangeCurve25519 + "," + ssh.KeyExchangeECDHP256 + "," +
			ssh.KeyExchangeECDHP384 + "," + ssh.KeyExchangeECDHP521 + "," + ssh.KeyExchangeDHGEXSHA256 + "," +
			ssh.KeyExchangeDH16SHA512 + "," + ssh.KeyExchangeDH14SHA256,
		onRequest: ssh.InsecureKeyExchangeDH14SHA1 + "," + ssh.InsecureKeyExchangeDHGEXSHA1 + "," + ssh.InsecureKeyExchangeDH1SHA1,
	}
	cipherNames = algorithmNames{
		usual: ssh.CipherAES128GCM + "," + ssh.CipherAES256GCM + "," + ssh.CipherChaCha20Poly1305 + "," +
			ssh.CipherAES128CTR + "," + ssh.CipherAES192CTR + "," + ssh.CipherAES256CTR,
		onRequest: ssh.InsecureCipherAES128CBC + "," + ssh.InsecureCipherTripleDESCBC + "," + ssh.InsecureCipherRC4256 + "," +
			ssh.InsecureCipherRC4128 + "," + ssh.InsecureCipherRC4,
	}
	macNames = algorithmNames{
		usual:     ssh.HMACSHA256ETM + "," + ssh.HMACSHA512ETM + "," + ssh.HMACSHA256 + "," + ssh.HMACSHA512 + "," + ssh.HMACSHA1,
		onRequest: ssh.InsecureHMACSHA196,
	}
	hostKeyNames = algorithmNames{
		usual:     hostCertificates + "," + plainSignatures,
		onRequest: ssh.KeyAlgoRSA + "," + dsa + "," + ssh.CertAlgoRSAv01 + "," + dsaCertificate,
	}
	// signatureNames are those by which an authority may sign a host's certificate.
	signatureNames = algorithmNames{plainSignatures, ssh.KeyAlgoRSA + "," + dsa}
	// userKeyNames are those of our keys; a certificate has names of its own.
	userKeyNames = algorithmNames{
		usual:     userCertificates + "," + plainSignatures,
		onRequest: ssh.CertAlgoRSAv01 + "," + dsaCertificate + "," + ssh.KeyAlgoRSA + "," + dsa,
	}
)

// defaults are the usual ones, in order.
func (a algorithmNames) defaults() []string { return strings.Split(a.usual, ",") }

// choose reads a list of the configuration: names and wildcards in order, or, behind
// a +, - or ^, what is added to the usual ones, taken from them, or put at their head.
// Names that this client does not have are passed over.
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

// without are the names that are not among others.
func without(names, others []string) (rest []string) {
	for _, name := range names {
		if !slices.Contains(others, name) {
			rest = append(rest, name)
		}
	}
	return rest
}

// signatureAlgorithms are the algorithms by which a key of a type can sign, the best first.
func signatureAlgorithms(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA}
	}
	return []string{keyType}
}

// certificateName is the name of an algorithm where the key is a certificate.
func certificateName(algorithm string) string {
	base, _ := strings.CutSuffix(algorithm, "@openssh.com")
	return base + "-cert-v01@openssh.com"
}

// checkRSASize is RequiredRSASize, for the server's key and for ours.
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

// offers are the algorithms to ask a server for its key by.
func (p *policy) offers(rec hostRecord, bare []knownKey) []string {
	switch {
	case p.hostKeyAlgorithms == nil:
		return rec.hostKeyAlgorithms(bare, hostKeyNames.defaults())
	case p.hostKeysAsListed:
		return p.hostKeyAlgorithms
	}
	return rec.hostKeyAlgorithms(bare, p.hostKeyAlgorithms)
}
