// Package services maps names of services, such as ssh or smb, to ports, so that a list
// of ports can contain them.
package services
