/*
 * A PAM module that does as its arguments say, one after the other:
 *
 *	info=TEXT    shows a text
 *	err=TEXT     shows a text as an error
 *	echo=TEXT    asks for an answer that is shown as it is typed
 *	hidden=TEXT  asks for an answer that is not shown
 *	want=TEXT    fails, in the end, unless this was the last answer
 *	enough=TEXT  succeeds at once if this was the last answer
 *	wait=MS      lets time pass
 *	note=FILE    adds a line to a file, which counts the calls of the module
 *
 * An argument with blanks stands between square brackets (pam.conf(5)).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>

static int act(pam_handle_t *pamh, int argc, const char **argv)
{
	int result = PAM_SUCCESS;
	char *answer = NULL;

	for (int i = 0; i < argc; i++) {
		const char *text = strchr(argv[i], '=');
		size_t n = text ? (size_t)(text++ - argv[i]) : 0;
#define IS(name) (n == strlen(name) && strncmp(argv[i], name, n) == 0)
		if (IS("info")) {
			pam_info(pamh, "%s", text);
		} else if (IS("err")) {
			pam_error(pamh, "%s", text);
		} else if (IS("echo") || IS("hidden")) {
			free(answer);
			answer = NULL;
			if (pam_prompt(pamh, IS("echo") ? PAM_PROMPT_ECHO_ON : PAM_PROMPT_ECHO_OFF, &answer, "%s", text) != PAM_SUCCESS)
				return PAM_CONV_ERR;
		} else if (IS("want")) {
			if (!answer || strcmp(answer, text) != 0)
				result = PAM_AUTH_ERR;
		} else if (IS("enough")) {
			if (answer && strcmp(answer, text) == 0)
				break;
		} else if (IS("wait")) {
			usleep(1000 * atoi(text));
		} else if (IS("note")) {
			FILE *f = fopen(text, "a");
			if (!f)
				return PAM_SERVICE_ERR;
			fputs("called\n", f);
			fclose(f);
		} else {
			return PAM_SERVICE_ERR;
		}
	}
	free(answer);
	return result;
}

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	return act(pamh, argc, argv);
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh, (void)flags, (void)argc, (void)argv;
	return PAM_SUCCESS;
}

int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	return act(pamh, argc, argv);
}
