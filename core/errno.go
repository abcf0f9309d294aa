package core

import "syscall"

// errnoNames lists the errnos that POSIX systems have in common. An errno that is not
// here travels as text, and as the sentinels that it matches.
var errnoNames = [...]struct {
	name  string
	errno syscall.Errno
}{
	{"E2BIG", syscall.E2BIG},
	{"EACCES", syscall.EACCES},
	{"EADDRINUSE", syscall.EADDRINUSE},
	{"EADDRNOTAVAIL", syscall.EADDRNOTAVAIL},
	{"EAFNOSUPPORT", syscall.EAFNOSUPPORT},
	{"EAGAIN", syscall.EAGAIN},
	{"EALREADY", syscall.EALREADY},
	{"EBADF", syscall.EBADF},
	{"EBUSY", syscall.EBUSY},
	{"ECANCELED", syscall.ECANCELED},
	{"ECHILD", syscall.ECHILD},
	{"ECONNABORTED", syscall.ECONNABORTED},
	{"ECONNREFUSED", syscall.ECONNREFUSED},
	{"ECONNRESET", syscall.ECONNRESET},
	{"EDEADLK", syscall.EDEADLK},
	{"EDESTADDRREQ", syscall.EDESTADDRREQ},
	{"EDOM", syscall.EDOM},
	{"EDQUOT", syscall.EDQUOT},
	{"EEXIST", syscall.EEXIST},
	{"EFAULT", syscall.EFAULT},
	{"EFBIG", syscall.EFBIG},
	{"EHOSTDOWN", syscall.EHOSTDOWN},
	{"EHOSTUNREACH", syscall.EHOSTUNREACH},
	{"EILSEQ", syscall.EILSEQ},
	{"EINPROGRESS", syscall.EINPROGRESS},
	{"EINTR", syscall.EINTR},
	{"EINVAL", syscall.EINVAL},
	{"EIO", syscall.EIO},
	{"EISCONN", syscall.EISCONN},
	{"EISDIR", syscall.EISDIR},
	{"ELOOP", syscall.ELOOP},
	{"EMFILE", syscall.EMFILE},
	{"EMLINK", syscall.EMLINK},
	{"EMSGSIZE", syscall.EMSGSIZE},
	{"ENAMETOOLONG", syscall.ENAMETOOLONG},
	{"ENETDOWN", syscall.ENETDOWN},
	{"ENETRESET", syscall.ENETRESET},
	{"ENETUNREACH", syscall.ENETUNREACH},
	{"ENFILE", syscall.ENFILE},
	{"ENOBUFS", syscall.ENOBUFS},
	{"ENODEV", syscall.ENODEV},
	{"ENOENT", syscall.ENOENT},
	{"ENOEXEC", syscall.ENOEXEC},
	{"ENOLCK", syscall.ENOLCK},
	{"ENOMEM", syscall.ENOMEM},
	{"ENOPROTOOPT", syscall.ENOPROTOOPT},
	{"ENOSPC", syscall.ENOSPC},
	{"ENOSYS", syscall.ENOSYS},
	{"ENOTBLK", syscall.ENOTBLK},
	{"ENOTCONN", syscall.ENOTCONN},
	{"ENOTDIR", syscall.ENOTDIR},
	{"ENOTEMPTY", syscall.ENOTEMPTY},
	{"ENOTSOCK", syscall.ENOTSOCK},
	{"ENOTTY", syscall.ENOTTY},
	{"ENXIO", syscall.ENXIO},
	{"EOPNOTSUPP", syscall.EOPNOTSUPP},
	{"EOVERFLOW", syscall.EOVERFLOW},
	{"EPERM", syscall.EPERM},
	{"EPFNOSUPPORT", syscall.EPFNOSUPPORT},
	{"EPIPE", syscall.EPIPE},
	{"EPROTONOSUPPORT", syscall.EPROTONOSUPPORT},
	{"EPROTOTYPE", syscall.EPROTOTYPE},
	{"ERANGE", syscall.ERANGE},
	{"EROFS", syscall.EROFS},
	{"ESHUTDOWN", syscall.ESHUTDOWN},
	{"ESOCKTNOSUPPORT", syscall.ESOCKTNOSUPPORT},
	{"ESPIPE", syscall.ESPIPE},
	{"ESRCH", syscall.ESRCH},
	{"ESTALE", syscall.ESTALE},
	{"ETIMEDOUT", syscall.ETIMEDOUT},
	{"ETOOMANYREFS", syscall.ETOOMANYREFS},
	{"ETXTBSY", syscall.ETXTBSY},
	{"EUSERS", syscall.EUSERS},
	{"EXDEV", syscall.EXDEV},
}

// errnoName returns "" for an errno that has no name here.
func errnoName(e syscall.Errno) string {
	for _, n := range errnoNames {
		if n.errno == e {
			return n.name
		}
	}
	return ""
}

// errnoByName returns 0 for a name that is not known here.
func errnoByName(name string) syscall.Errno {
	for _, n := range errnoNames {
		if n.name == name {
			return n.errno
		}
	}
	return 0
}
