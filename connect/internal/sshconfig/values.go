package sshconfig

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ssh refuses a value that its keyword does not have, also of a keyword that has no meaning for a
// hop: whoever misspells it means something else than the default.

const yesNo = "yes no true false"

// choices are the values of keywords with a few words, as readconf.c of OpenSSH has them. ssh
// ignores capital letters.
var choices = choiceTable(map[string]string{
	yesNo: `batchmode canonicalizefallbacklocal checkhostip clearallforwardings enableescapecommandline enablesshkeysign
		exitonforwardfailure forkafterauthentication forwardx11 forwardx11trusted gatewayports gssapiauthentication
		gssapidelegatecredentials hashknownhosts hostbasedauthentication identitiesonly kbdinteractiveauthentication
		nohostauthenticationforlocalhost passwordauthentication permitlocalcommand proxyusefdpass stdinnull
		streamlocalbindunlink tcpkeepalive visualhostkey`,
	"yes no":                           "compression",
	yesNo + " ask":                     "updatehostkeys verifyhostkeydns",
	yesNo + " ask accept-new off":      "stricthostkeychecking",
	yesNo + " auto ask autoask":        "controlmaster",
	yesNo + " force auto":              "requesttty",
	yesNo + " always":                  "canonicalizehostname",
	yesNo + " unbound host-bound":      "pubkeyauthentication",
	yesNo + " ethernet point-to-point": "tunnel",
	"none subsystem default":           "sessiontype",
	"any inet inet6":                   "addressfamily",
	"quiet fatal error info verbose debug debug1 debug2 debug3":                         "loglevel",
	"daemon user auth authpriv local0 local1 local2 local3 local4 local5 local6 local7": "syslogfacility",
	"md5 sha1 sha256 sha384 sha512":                                                     "fingerprinthash",
})

func choiceTable(words map[string]string) map[string][]string {
	table := map[string][]string{}
	for values, names := range words {
		for name := range strings.FieldsSeq(names) {
			table[name] = strings.Fields(values)
		}
	}
	return table
}

// leastNumbers are the least values of keywords with a number.
var leastNumbers = map[string]uint64{
	"port": 1, "connectionattempts": 1, "serveralivecountmax": 0, "numberofpasswordprompts": 0, "requiredrsasize": 0, "canonicalizemaxdots": 0,
}

// serviceClasses are the names of IPQoS.
var serviceClasses = strings.Fields(`none af11 af12 af13 af21 af22 af23 af31 af32 af33 af41 af42 af43
	cs0 cs1 cs2 cs3 cs4 cs5 cs6 cs7 ef le lowdelay throughput reliability`)

// checkValue returns an error for words that are no value of a keyword.
func checkValue(keyword string, words []string) error {
	value := strings.ToLower(strings.Join(words, " "))
	if allowed, ok := choices[keyword]; ok && !slices.Contains(allowed, value) {
		return fmt.Errorf("%s: %q is none of %s", keyword, value, strings.Join(allowed, ", "))
	}
	if least, ok := leastNumbers[keyword]; ok {
		bits := 31
		if keyword == "port" {
			bits = 16
		}
		if n, err := strconv.ParseUint(value, 10, bits); err != nil || n < least {
			return fmt.Errorf("%s: %q is no number that it can have, of which the least is %d", keyword, value, least)
		}
	}
	switch keyword {
	case "ipqos":
		for _, word := range words {
			n, err := strconv.ParseUint(word, 0, 8)
			if !slices.Contains(serviceClasses, strings.ToLower(word)) && (err != nil || n > 255) {
				return fmt.Errorf("%s: %q is no class of service", keyword, word)
			}
		}
		if len(words) > 2 {
			return fmt.Errorf("%s: it has two values at most", keyword)
		}
	case "streamlocalbindmask":
		if n, err := strconv.ParseUint(value, 8, 32); err != nil || n > 0o777 {
			return fmt.Errorf("%s: %q is no mask", keyword, value)
		}
	case "escapechar":
		if value != "none" && len(value) != 1 && !(len(value) == 2 && value[0] == '^') {
			return fmt.Errorf("%s: %q is not one character", keyword, value)
		}
	}
	return nil
}
