import sys

from workshop.doctor.doctor import main

sys.exit(main())
