package connect

import (
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// algorithmNames are the algorithms of one kind.
//
// usual is offered where nobody says otherwise: what OpenSSH offers, in its order,
// as far as x/crypto/ssh has it. The order differs where it would cost: AES-GCM
// comes before ChaCha20, which Go has no vector code for on most processors.
//
// onRequest is what OpenSSH has dropped from its defaults. A server that has nothing
// better is refused, unless the configuration or the program names it.
type algorithmNames struct {
	usual, onRequest []string
}

var (
	kexNames = algorithmNames{
		usual: []string{ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519, ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384,
			ssh.KeyExchangeECDHP521, ssh.KeyExchangeDHGEXSHA256, ssh.KeyExchangeDH16SHA512, ssh.KeyExchangeDH14SHA256},
		onRequest: ssh.InsecureAlgorithms().KeyExchanges,
	}
	cipherNames = algorithmNames{
		usual: []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherChaCha20Poly1305,
			ssh.CipherAES128CTR, ssh.CipherAES192CTR, ssh.CipherAES256CTR},
		onRequest: ssh.InsecureAlgorithms().Ciphers,
	}
	macNames = algorithmNames{
		usual:     []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM, ssh.HMACSHA256, ssh.HMACSHA512, ssh.HMACSHA1},
		onRequest: ssh.InsecureAlgorithms().MACs,
	}
	hostKeyNames = algorithmNames{
		usual: withOthers(ssh.SupportedAlgorithms().HostKeys, ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
			ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01,
			ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
			ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256),
		onRequest: ssh.InsecureAlgorithms().HostKeys,
	}
	// signatureNames are those by which an authority may sign a host's certificate.
	signatureNames = algorithmNames{
		usual: withOthers(ssh.SupportedAlgorithms().PublicKeyAuths, ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384,
			ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256),
		onRequest: []string{ssh.KeyAlgoRSA, ssh.InsecureKeyAlgoDSA},
	}
	// userKeyNames are those of our keys; a certificate has names of its own.
	userKeyNames = algorithmNames{
		usual:     slices.Concat(certificateNames(signatureNames.usual), signatureNames.usual),
		onRequest: slices.Concat(certificateNames(signatureNames.onRequest), signatureNames.onRequest),
	}
)

// withOthers puts names that OpenSSH has no place for behind those that it has.
func withOthers(others []string, names ...string) []string {
	for _, name := range others {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// choose reads a list of the configuration: names and wildcards in order, or, behind
// a +, - or ^, what is added to the usual ones, taken from them, or put at their head.
// Names that this client does not have are passed over.
func (a algorithmNames) choose(list string) ([]string, error) {
	known := slices.Concat(a.usual, a.onRequest)
	how := byte(0)
	if list != "" && strings.IndexByte("+-^", list[0]) >= 0 {
		how, list = list[0], list[1:]
	}
	var named []string
	for pattern := range strings.SplitSeq(list, ",") {
		for _, name := range known {
			if matchWildcard(strings.TrimSpace(pattern), name) && !slices.Contains(named, name) {
				named = append(named, name)
			}
		}
	}
	others := slices.DeleteFunc(slices.Clone(a.usual), func(name string) bool { return slices.Contains(named, name) })
	chosen := named
	switch how {
	case '+':
		named = slices.DeleteFunc(named, func(name string) bool { return slices.Contains(a.usual, name) })
		chosen = slices.Concat(a.usual, named)
	case '-':
		chosen = others
	case '^':
		chosen = slices.Concat(named, others)
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("this client has none of %q; it has %s. An openssh hop has what ssh has", list, strings.Join(known, ","))
	}
	return chosen, nil
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

func certificateNames(algorithms []string) []string {
	var names []string
	for _, name := range algorithms {
		names = append(names, certificateName(name))
	}
	return names
}

// checkRSASize is RequiredRSASize, for the server's key and for ours.
func (p *sshPolicy) checkRSASize(key ssh.PublicKey) error {
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

// offers are the algorithms to ask the server for its key by.
func (p *sshPolicy) offers(usual []string) []string {
	switch {
	case p.hostKeyAlgorithms == nil:
		return usual
	case p.hostKeysAsListed:
		return p.hostKeyAlgorithms
	}
	allowed := slices.DeleteFunc(slices.Clone(usual), func(name string) bool { return !slices.Contains(p.hostKeyAlgorithms, name) })
	rest := slices.DeleteFunc(slices.Clone(p.hostKeyAlgorithms), func(name string) bool { return slices.Contains(allowed, name) })
	return slices.Concat(allowed, rest)
}
