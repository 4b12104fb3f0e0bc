// Package services knows which port stands behind the name of a service, such as ssh
// or smb, so that a list of ports can name them.
package services
