// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA without translation for single PCI functions of a pseries guest
 *
 * A hypervisor that has the hypercall H_PCI_DMA_BYPASS opens, for a function
 * whose node says qemu,dma-bypass = "switchable", a window in the function's bus
 * address space: bus address = base + guest physical address. It is opened
 * when the function's driver asks for a 64-bit DMA mask, and closed when the
 * driver is gone. Below the window everything stays as it is, so a smaller
 * mask goes on with TCEs.
 *
 * On pseries the kernel asks the PHB's method iommu_bypass_supported whether a
 * function can do without TCEs (dma_iommu_dma_supported()); it answers yes
 * when a dynamic DMA window maps all memory. This module puts its own method
 * before that one.
 *
 * What happens to a function happens under its device lock (binding, probing,
 * unbinding), with one exception: some drivers ask for their mask in a work
 * queue that their probe has started. They end that work before they are gone.
 * Lock order: device lock, then bypass_lock.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#define dev_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/device.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/of.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/workqueue.h>

#include <asm/firmware.h>
#include <asm/hvcall.h>
#include <asm/pci-bridge.h>
#include <asm/reg.h>

#define H_PCI_DMA_BYPASS	0xF006

enum bypass_action {
	BYPASS_OFF = 0,
	BYPASS_ON = 1,
	BYPASS_QUERY = 2,
};

typedef bool (*bypass_method)(struct pci_dev *pdev, u64 mask);

/* A PHB whose method is ours */
struct bypass_phb {
	struct list_head list;
	struct pci_controller *phb;	/* only compared: PHBs may go */
	bypass_method original;
};

/*
 * A switchable function that has a driver. What is decided at the driver's
 * first request holds until the driver is gone, because mappings exist then:
 * another answer would have them undone in another way than they were made.
 * That is also why a function without a record, one that was bound before this
 * module came, is left alone.
 */
struct bypass_function {
	struct list_head list;
	struct pci_dev *pdev;
	enum {
		BYPASS_UNDECIDED,
		BYPASS_TRANSLATED,
		BYPASS_OPEN,		/* holds a reference on this module */
		BYPASS_STALE,		/* likewise; its probe has failed */
	} state;
	/* What the open window has replaced */
	dma_addr_t dma_offset;
	bool dma_ops_bypass;
	const struct dma_map_ops *dma_ops;
};

/* Guards all that follows, and the policy */
static DEFINE_MUTEX(bypass_lock);
static LIST_HEAD(bypass_phbs);
static LIST_HEAD(bypass_functions);

/* Entered by every user of our method, so that it can be waited for */
DEFINE_STATIC_SRCU(bypass_method_srcu);

static bool secure;
module_param(secure, bool, 0444);
MODULE_PARM_DESC(secure, "Open windows in a secure guest too (default: no)");

/*
 * The policy: which functions may have a window
 */

static char *policy_text;		/* as it was given; NULL is "all" */

static const char *policy_get_text(void)
{
	return policy_text ?: "all";
}

static bool policy_address_valid(const char *address)
{
	unsigned int domain, bus, slot, function;
	char canonical[20];

	if (sscanf(address, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4 ||
	    bus > 0xff || slot > 0x1f || function > 7)
		return false;
	snprintf(canonical, sizeof(canonical), "%04x:%02x:%02x.%u", domain, bus,
		 slot, function);
	return !strcasecmp(address, canonical);
}

static int policy_check(const char *text)
{
	char *list, *rest, *address;
	int error = 0;

	if (!strcmp(text, "all") || !strcmp(text, "none"))
		return 0;
	list = kstrdup(text, GFP_KERNEL);
	if (!list)
		return -ENOMEM;
	rest = list;
	while (!error && (address = strsep(&rest, ",")))
		if (!policy_address_valid(address)) {
			pr_err("policy: \"%s\" is neither \"all\" nor \"none\" nor an address like 0000:00:01.0\n",
			       address);
			error = -EINVAL;
		}
	kfree(list);
	return error;
}

static bool policy_allows(struct pci_dev *pdev)
{
	const char *text = policy_get_text();
	const char *name = pci_name(pdev);
	size_t length = strlen(name);

	lockdep_assert_held(&bypass_lock);
	if (!strcmp(text, "all"))
		return true;
	/* No name is the beginning of another: they end in one digit after a dot */
	for (; text; text = strchr(text, ',')) {
		text += *text == ',';
		if (!strncasecmp(text, name, length))
			return true;
	}
	return false;
}

static int policy_set(const char *value, const struct kernel_param *param)
{
	char *copy, *text;
	int error;

	if (!value)
		return -EINVAL;
	copy = kstrdup(value, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	text = strim(copy);
	error = policy_check(text);
	if (error) {
		kfree(copy);
		return error;
	}
	memmove(copy, text, strlen(text) + 1);

	mutex_lock(&bypass_lock);
	swap(policy_text, copy);
	mutex_unlock(&bypass_lock);
	kfree(copy);
	return 0;
}

static int policy_get(char *buffer, const struct kernel_param *param)
{
	int length;

	mutex_lock(&bypass_lock);
	length = scnprintf(buffer, PAGE_SIZE, "%s\n", policy_get_text());
	mutex_unlock(&bypass_lock);
	return length;
}

static void policy_free(void *arg)
{
	kfree(policy_text);
}

static const struct kernel_param_ops policy_ops = {
	.set = policy_set,
	.get = policy_get,
	.free = policy_free,
};
module_param_cb(policy, &policy_ops, NULL, 0644);
__MODULE_PARM_TYPE(policy, "string");
MODULE_PARM_DESC(policy, "Which functions may have a window, from their next driver on: all (default), none, or addresses like 0000:00:01.0 with commas");

/*
 * The hypercall
 */

/* On H_SUCCESS, result[0] is the state and result[1] the window's base. */
static long bypass_call(struct pci_dev *pdev, enum bypass_action action,
			unsigned long *result)
{
	struct pci_controller *phb = pci_bus_to_host(pdev->bus);
	unsigned long address = pdev->bus->number << 16 | pdev->devfn << 8;

	return plpar_hcall(H_PCI_DMA_BYPASS, result, phb->buid, address, action);
}

static const char *bypass_code_name(long code)
{
	switch (code) {
	case H_FUNCTION:
		return "H_FUNCTION";
	case H_PARAMETER:
		return "H_PARAMETER";
	case H_P2:
		return "H_P2";
	case H_P3:
		return "H_P3";
	case H_UNSUPPORTED:
		return "H_UNSUPPORTED";
	case H_STATE:
		return "H_STATE";
	default:
		return "hypercall's code";
	}
}

/*
 * One function. All under bypass_lock.
 */

static bool bypass_switchable(struct pci_dev *pdev)
{
	return of_property_match_string(pci_device_to_OF_node(pdev),
					"qemu,dma-bypass", "switchable") == 0;
}

static struct bypass_function *bypass_find(struct pci_dev *pdev)
{
	struct bypass_function *f;

	lockdep_assert_held(&bypass_lock);
	list_for_each_entry(f, &bypass_functions, list)
		if (f->pdev == pdev)
			return f;
	return NULL;
}

/* Off is refused while the function is bus master: whoever set that is gone. */
static void bypass_off(struct pci_dev *pdev)
{
	unsigned long result[PLPAR_HCALL_BUFSIZE];
	long code = bypass_call(pdev, BYPASS_OFF, result);

	if (code == H_STATE) {
		pci_info(pdev, "bus mastering was left on: cleared\n");
		pci_clear_master(pdev);
		code = bypass_call(pdev, BYPASS_OFF, result);
	}
	if (code == H_SUCCESS)
		pci_info(pdev, "DMA window closed\n");
	else if (code == H_PARAMETER || code == H_P2)
		pci_info(pdev, "DMA window closed: the function is gone\n");
	else
		pci_err(pdev, "DMA window not closed: %s %ld\n",
			bypass_code_name(code), code);
}

/* A kernel before this one (kexec) may have left a window open. */
static void bypass_off_if_open(struct pci_dev *pdev)
{
	unsigned long result[PLPAR_HCALL_BUFSIZE];

	if (bypass_call(pdev, BYPASS_QUERY, result) == H_SUCCESS && result[0])
		bypass_off(pdev);
}

static void bypass_close(struct bypass_function *f)
{
	struct device *dev = &f->pdev->dev;

	dev->archdata.dma_offset = f->dma_offset;
	dev->dma_ops_bypass = f->dma_ops_bypass;
	set_dma_ops(dev, f->dma_ops);
	bypass_off(f->pdev);
}

/* Forgets what was decided for a driver that is gone. */
static void bypass_drop(struct bypass_function *f)
{
	bool open = f->state == BYPASS_OPEN || f->state == BYPASS_STALE;

	if (open)
		bypass_close(f);
	list_del(&f->list);
	kfree(f);
	if (open)
		module_put(THIS_MODULE);
}

static bool bypass_open(struct bypass_function *f)
{
	unsigned long result[PLPAR_HCALL_BUFSIZE];
	struct pci_dev *pdev = f->pdev;
	struct device *dev = &pdev->dev;
	long code;

	/* The window must be closed again, so this module must be there. */
	if (!try_module_get(THIS_MODULE))
		return false;

	code = bypass_call(pdev, BYPASS_ON, result);
	if (code == H_SUCCESS && (result[0] != 1 || !result[1])) {
		pci_err(pdev, "DMA window refused: state %lu, base %#lx make no sense\n",
			result[0], result[1]);
		bypass_call(pdev, BYPASS_OFF, result);
		code = H_HARDWARE;
	} else if (code != H_SUCCESS) {
		pci_warn(pdev, "DMA window refused: %s %ld\n",
			 bypass_code_name(code), code);
	}
	if (code != H_SUCCESS) {
		module_put(THIS_MODULE);
		return false;
	}

	f->dma_offset = dev->archdata.dma_offset;
	f->dma_ops_bypass = dev->dma_ops_bypass;
	f->dma_ops = get_dma_ops(dev);
	dev->archdata.dma_offset = result[1];
	pci_info(pdev, "DMA window opened at %#lx\n", result[1]);
	return true;
}

/*
 * Each mapping compares the mask with what the memory needs, to choose between
 * direct DMA and TCEs. Once both masks are full the choice is made; not to make
 * it again saves two percent of the processor's time for 4 KiB requests to a
 * disk. A driver that would narrow its mask after its probe is refused then.
 */
static void bypass_shorten(struct bypass_function *f)
{
	struct device *dev = &f->pdev->dev;

	if (dma_get_mask(dev) == DMA_BIT_MASK(64) &&
	    dev->coherent_dma_mask == DMA_BIT_MASK(64) && !dev->bus_dma_limit)
		set_dma_ops(dev, NULL);
}

/* A window holds RAM. The kernel also has DMA to persistent memory. */
static bool bypass_covers_memory(struct pci_dev *pdev)
{
	struct device_node *node = of_find_node_by_type(NULL, "ibm,pmemory");

	of_node_put(node);
	if (node)
		pci_info(pdev, "DMA window not opened: it would lack persistent memory\n");
	return !node;
}

/* The driver of this function asks for a 64-bit mask: can it have it directly? */
static bool bypass_decide(struct pci_dev *pdev)
{
	struct bypass_function *f = bypass_find(pdev);

	if (!f)
		return false;
	if (f->state == BYPASS_UNDECIDED)
		f->state = policy_allows(pdev) && bypass_covers_memory(pdev) &&
			bypass_open(f) ? BYPASS_OPEN : BYPASS_TRANSLATED;
	return f->state == BYPASS_OPEN;
}

/*
 * The PHBs' method
 */

static struct bypass_phb *bypass_find_phb(struct pci_controller *phb)
{
	struct bypass_phb *hooked;

	lockdep_assert_held(&bypass_lock);
	list_for_each_entry(hooked, &bypass_phbs, list)
		if (hooked->phb == phb)
			return hooked;
	return NULL;
}

/* Method of a PHB whose driver asks: ours goes before the kernel's. */
static bool bypass_iommu_bypass_supported(struct pci_dev *pdev, u64 mask)
{
	struct bypass_phb *hooked;
	bypass_method original;
	bool direct;
	int index;

	index = srcu_read_lock(&bypass_method_srcu);
	mutex_lock(&bypass_lock);
	direct = mask == DMA_BIT_MASK(64) && bypass_decide(pdev);
	hooked = bypass_find_phb(pci_bus_to_host(pdev->bus));
	original = hooked ? hooked->original : NULL;
	mutex_unlock(&bypass_lock);
	/* There is none under disable_ddw: TCEs then */
	if (!direct && original)
		direct = original(pdev, mask);
	srcu_read_unlock(&bypass_method_srcu, index);
	return direct;
}

static int bypass_hook(struct pci_controller *phb)
{
	bypass_method *method = &phb->controller_ops.iommu_bypass_supported;
	struct bypass_phb *hooked;

	if (*method == bypass_iommu_bypass_supported)
		return 0;
	/* A PHB that has gone may have had the same address */
	hooked = bypass_find_phb(phb);
	if (!hooked) {
		hooked = kzalloc(sizeof(*hooked), GFP_KERNEL);
		if (!hooked)
			return -ENOMEM;
		hooked->phb = phb;
		list_add(&hooked->list, &bypass_phbs);
	}
	hooked->original = *method;
	WRITE_ONCE(*method, bypass_iommu_bypass_supported);
	return 0;
}

static void bypass_unhook(struct pci_controller *phb)
{
	bypass_method *method = &phb->controller_ops.iommu_bypass_supported;

	if (*method == bypass_iommu_bypass_supported)
		WRITE_ONCE(*method, bypass_find_phb(phb)->original);
}

/* Leaves no PHB with our method, and nobody in it. */
static void bypass_unhook_all(void)
{
	struct bypass_phb *hooked, *next;
	struct pci_bus *bus;

	pci_lock_rescan_remove();
	mutex_lock(&bypass_lock);
	list_for_each_entry(bus, &pci_root_buses, node)
		bypass_unhook(pci_bus_to_host(bus));
	mutex_unlock(&bypass_lock);
	pci_unlock_rescan_remove();

	/*
	 * Whoever has read the pointer is in the method's reader section, or
	 * beyond, after the first of these; out of it after the second; and out
	 * of the method after the third.
	 */
	synchronize_rcu_tasks();
	synchronize_srcu(&bypass_method_srcu);
	synchronize_rcu_tasks();

	list_for_each_entry_safe(hooked, next, &bypass_phbs, list) {
		list_del(&hooked->list);
		kfree(hooked);
	}
}

/*
 * Drivers that come and go
 */

/*
 * What a driver has allocated by devres is freed only after the notification
 * that its probe has failed. It goes where it came from, so the window has to
 * stay until the device lock is free.
 */
static void bypass_sweep(struct work_struct *work)
{
	struct bypass_function *f;
	struct pci_dev *pdev;

	for (;;) {
		pdev = NULL;
		mutex_lock(&bypass_lock);
		list_for_each_entry(f, &bypass_functions, list)
			if (f->state == BYPASS_STALE) {
				pdev = pci_dev_get(f->pdev);
				break;
			}
		mutex_unlock(&bypass_lock);
		if (!pdev)
			return;

		device_lock(&pdev->dev);
		mutex_lock(&bypass_lock);
		f = bypass_find(pdev);
		if (f && f->state == BYPASS_STALE)
			bypass_drop(f);
		mutex_unlock(&bypass_lock);
		device_unlock(&pdev->dev);
		pci_dev_put(pdev);
	}
}

static DECLARE_WORK(bypass_sweep_work, bypass_sweep);

static void bypass_bind(struct pci_dev *pdev)
{
	struct bypass_function *f = bypass_find(pdev);

	if (f)
		bypass_drop(f);
	if (!bypass_switchable(pdev))
		return;
	/* A PHB that has come since */
	if (bypass_hook(pci_bus_to_host(pdev->bus)))
		return;
	bypass_off_if_open(pdev);
	/* vfio-pci and its like manage the IOMMU themselves. */
	if (to_pci_driver(pdev->dev.driver)->driver_managed_dma)
		return;
	f = kzalloc(sizeof(*f), GFP_KERNEL);
	if (!f)
		return;
	f->pdev = pdev;
	list_add(&f->list, &bypass_functions);
}

static int bypass_notify(struct notifier_block *nb, unsigned long event, void *data)
{
	struct pci_dev *pdev = to_pci_dev(data);
	struct bypass_function *f;

	mutex_lock(&bypass_lock);
	f = bypass_find(pdev);
	switch (event) {
	case BUS_NOTIFY_BIND_DRIVER:
		bypass_bind(pdev);
		break;
	case BUS_NOTIFY_DRIVER_NOT_BOUND:
		if (f && f->state == BYPASS_OPEN) {
			f->state = BYPASS_STALE;
			schedule_work(&bypass_sweep_work);
		} else if (f) {
			bypass_drop(f);
		}
		break;
	case BUS_NOTIFY_BOUND_DRIVER:
		if (f && f->state == BYPASS_OPEN)
			bypass_shorten(f);
		break;
	case BUS_NOTIFY_UNBOUND_DRIVER:
		if (f)
			bypass_drop(f);
		else if (bypass_switchable(pdev))
			bypass_off_if_open(pdev);
		break;
	case BUS_NOTIFY_REMOVED_DEVICE:
		if (f)
			bypass_drop(f);
		break;
	}
	mutex_unlock(&bypass_lock);
	return NOTIFY_OK;
}

static struct notifier_block bypass_notifier = {
	.notifier_call = bypass_notify,
};

/*
 * Closes what a kernel before this one has left open, and counts the functions
 * that are taken already. Whoever holds a lock meanwhile binds or unbinds, and
 * so is heard of.
 */
static int __init bypass_take_over(void)
{
	struct pci_dev *pdev = NULL;
	int bound = 0;

	for_each_pci_dev(pdev) {
		if (!bypass_switchable(pdev) || !device_trylock(&pdev->dev))
			continue;
		mutex_lock(&bypass_lock);
		if (!pdev->dev.driver)
			bypass_off_if_open(pdev);
		else if (!bypass_find(pdev))
			bound++;
		mutex_unlock(&bypass_lock);
		device_unlock(&pdev->dev);
	}
	return bound;
}

static int __init bypass_init(void)
{
	struct pci_bus *bus;
	int error = 0, count = 0;

	if (!firmware_has_feature(FW_FEATURE_LPAR) ||
	    firmware_has_feature(FW_FEATURE_PS3_LV1)) {
		pr_err("this is not a pseries guest\n");
		return -ENODEV;
	}
	if ((mfmsr() & MSR_S) && !secure) {
		pr_info("this is a secure guest: doing nothing (parameter secure)\n");
		return -ENODEV;
	}

	pci_lock_rescan_remove();
	mutex_lock(&bypass_lock);
	list_for_each_entry(bus, &pci_root_buses, node) {
		error = bypass_hook(pci_bus_to_host(bus));
		if (error)
			break;
		count++;
	}
	mutex_unlock(&bypass_lock);
	pci_unlock_rescan_remove();
	/* From here on windows are opened, so nothing may fail after it */
	error = error ?: bus_register_notifier(&pci_bus_type, &bypass_notifier);
	if (error) {
		bypass_unhook_all();
		return error;
	}
	mutex_lock(&bypass_lock);
	pr_info("watching %d PHB%s, policy %s\n", count, count == 1 ? "" : "s",
		policy_get_text());
	mutex_unlock(&bypass_lock);
	count = bypass_take_over();
	if (count)
		pr_info("switchable functions that have a driver already, to be bound again: %d\n",
			count);
	return 0;
}

static void __exit bypass_exit(void)
{
	struct bypass_function *f, *next;

	bypass_unhook_all();
	bus_unregister_notifier(&pci_bus_type, &bypass_notifier);
	/* May still be on its way out */
	cancel_work_sync(&bypass_sweep_work);
	/* No window is open: each has a reference on this module */
	list_for_each_entry_safe(f, next, &bypass_functions, list)
		bypass_drop(f);
	pr_info("unloaded\n");
}

module_init(bypass_init);
module_exit(bypass_exit);

MODULE_DESCRIPTION("DMA without translation for PCI functions of a pseries guest");
MODULE_LICENSE("GPL");
